// Messages between the page and its worker.

/** Greyscale ink, from 0 for paper to 255 for full ink, one byte per pixel. */
export interface Drawing {
  pixels: Uint8Array<ArrayBuffer>;
  width: number;
  height: number;
}

/** What a visitor has scored. */
export type Input = { drawing: Drawing } | { application: Record<string, number> };

/** Model that one of the demos uses. */
export interface ModelFacts {
  name: string;
  /** Demo that it belongs to. */
  demo: "digit" | "loan";
  title: string;
  labels: string[];
  accuracy: number | null;
  /** Whether only the label leaves the server. */
  labelOnly: boolean;
  publicKeyBytes: number;
  /** Name of the parameter set; models with the same one share a key. */
  parameterSet: string;
  /** Standard deviation of a score's error. */
  scoreError: number;
  /** Public thresholds of each column, in the order of the columns. */
  grid: number[][];
  /** Number of values that are encrypted. */
  features: number;
}

export interface KeyFacts {
  keyId: string;
  publicKeyBytes: number;
  generated: boolean;
  uploaded: boolean;
  keygenMs: number;
  uploadMs: number;
  expiresAt: Date | null;
  /** Whether keys of an earlier version were found and deleted. */
  outdated: boolean;
  /** Whether the secret key outlives this page. */
  kept: boolean;
}

/** Query that the server received from this page and can remember. */
export interface Sent {
  model: string;
  bytes: number;
  /** Whether the page made the query to measure the model, without a drawing. */
  blank: boolean;
}

export interface Answer {
  /** Null if only the label leaves the server, and the decision is so close that no class was found. */
  label: string | null;
  index: number | null;
  scores: Float64Array;
  probabilities: Float64Array;
  timings: { encryptMs: number; requestMs: number; serverMs: number | null; decryptMs: number };
  bytes: { query: number; response: number };
  /** Drawing, centred and scaled: 784 values. Null if there was no drawing. */
  normalized: Uint8Array | null;
  /** Query as sent; like `response`, the bytes on the wire. */
  query: Uint8Array;
  response: Uint8Array;
}

export interface Trouble {
  code: string;
  recovery: "upload_key" | "refresh_model" | "retry" | "none";
  message: string;
  /** Time that the server asks to wait. */
  retryAfterMs: number | null;
}

export type Phase = "generate" | "upload";

export type ToWorker =
  | { type: "prepare"; id: number; model: string | null }
  | { type: "warm"; model: string }
  | { type: "cool" }
  | { type: "score"; id: number; model: string | null; input: Input }
  | { type: "cancel" }
  | { type: "forget"; id: number };

export type FromWorker =
  | { type: "models"; models: ModelFacts[] }
  | { type: "progress"; model: string; phase: Phase; fraction: number }
  | { type: "keys"; model: string; keys: KeyFacts }
  | { type: "warmed"; model: string }
  | { type: "cooled"; model: string }
  | { type: "sent"; sent: Sent }
  | { type: "took"; model: string; ms: number }
  | { type: "prepared"; id: number }
  | { type: "answer"; id: number; answer: Answer }
  | { type: "blank"; id: number }
  | { type: "forgotten"; id: number }
  | { type: "failed"; id: number; trouble: Trouble };
