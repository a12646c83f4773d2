// The fields of a loan application: the columns of the model, as a form asks for them.

/** Name of the model that scores applications. */
export const LOAN_MODEL = "loan-trees";

/** Share of the made-up loans in the model's test table that were not repaid. */
export const DEFAULT_RATE = 0.118;

export interface Field {
  /** Name of the model's column. */
  name: string;
  label: string;
  /** Short name, where there is little room. */
  short: string;
  unit: string;
  /** Range of the numbers that the model has seen. */
  min: number;
  max: number;
}

export const FIELDS: readonly Field[] = [
  { name: "income", label: "Monthly income", short: "Income", unit: "€", min: 800, max: 12_000 },
  { name: "amount", label: "Loan amount", short: "Amount", unit: "€", min: 500, max: 50_000 },
  { name: "months", label: "Time to repay it", short: "Time", unit: "months", min: 6, max: 84 },
  { name: "years_in_job", label: "Time in the job", short: "In the job", unit: "years", min: 0, max: 40 },
  { name: "open_loans", label: "Other open loans", short: "Loans", unit: "", min: 0, max: 8 },
  { name: "missed_payments", label: "Missed payments", short: "Missed", unit: "in two years", min: 0, max: 12 },
];

/** Numbers that the form starts with, in the order of the fields. */
export const START: readonly number[] = [2_600, 9_000, 36, 4, 1, 0];

export const EXAMPLES: Readonly<Record<"careful" | "risky", readonly number[]>> = {
  careful: [4_200, 6_000, 24, 11, 0, 0],
  risky: [1_500, 12_000, 24, 1, 3, 3],
};
