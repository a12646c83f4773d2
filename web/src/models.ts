// The server's models that a demo of this page can use.
import { BlindscoreError, type ModelDescriptor } from "blindscore";
import { FIELDS, LOAN_MODEL } from "./fields";
import type { ModelFacts } from "./messages";

/** Returns facts about the models of the demos, those of digits first. */
export function usable(all: ModelDescriptor[]): ModelFacts[] {
  const digits = all.filter(readsDigits).map((model) => facts("digit", model));
  const loans = all.filter(readsApplications).map((model) => facts("loan", model));
  return [...digits, ...loans];
}

/** Returns the model that differs from this one only in that just its label leaves the server, if there is one. */
export function labelOnly(models: ModelFacts[], { name, demo }: ModelFacts): ModelFacts | undefined {
  return models.find((other) => other.labelOnly && other.demo === demo && other.name === `${name}-label`);
}

/** Returns a model's name, or that of the first digit model; throws if the demo's model is missing. */
export function found(models: ModelFacts[], model: string | null): string {
  const name = model ?? models.find(({ demo }) => demo === "digit")?.name;
  if (name === undefined) throw new BlindscoreError("model_not_found", "the server has no digit model");
  // A model of that name with other columns would take the missing ones for unknown numbers.
  if (name === LOAN_MODEL && !models.some((known) => known.name === name)) {
    throw new BlindscoreError("model_not_found", "the server has no model for the form");
  }
  return name;
}

function readsDigits({ inputs, outputs, task, classes }: ModelDescriptor): boolean {
  const takesDrawings = inputs.image?.width === 28 && inputs.image.height === 28;
  return takesDrawings && outputs.length === 10 && task === "classification" && !classes;
}

function readsApplications({ name, inputs, classes }: ModelDescriptor): boolean {
  const columns = inputs.encoding?.columns ?? [];
  const takesFields = columns.length === FIELDS.length && FIELDS.every((field, i) => field.name === columns[i]?.name);
  return name === LOAN_MODEL && takesFields && classes?.length === 2;
}

function facts(demo: ModelFacts["demo"], model: ModelDescriptor): ModelFacts {
  const { name, title, outputs, accuracy, answer, sizes, parameter_set, score_error, inputs } = model;
  return {
    name,
    demo,
    title,
    labels: outputs.map((output) => output.label),
    accuracy: accuracy ?? null,
    labelOnly: answer === "label",
    publicKeyBytes: sizes.public_key,
    parameterSet: parameter_set,
    scoreError: score_error,
    grid: grid(inputs.encoding),
    features: inputs.count,
  };
}

/** Returns the thresholds that an encoding compares each column with. */
function grid(encoding: ModelDescriptor["inputs"]["encoding"]): number[][] {
  const steps = (encoding?.steps ?? []) as { thermometer?: { from: number; edges: number[] } }[];
  return (encoding?.columns ?? []).map((_, column) => steps.find(({ thermometer }) => thermometer?.from === column)?.thermometer?.edges ?? []);
}
