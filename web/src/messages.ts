// What the page and its worker say to each other.

/** Greyscale ink, 0 for paper and 255 for full ink, one byte a pixel. */
export interface Drawing {
  pixels: Uint8Array<ArrayBuffer>;
  width: number;
  height: number;
}

export interface ModelFacts {
  labels: string[];
  accuracy: number | null;
}

export interface KeyFacts {
  keyId: string;
  publicKeyBytes: number;
  generated: boolean;
  uploaded: boolean;
  keygenMs: number;
  uploadMs: number;
}

export interface Answer {
  label: string;
  index: number;
  scores: Float64Array;
  probabilities: Float64Array;
  timings: { encryptMs: number; requestMs: number; serverMs: number | null; decryptMs: number };
  bytes: { query: number; response: number };
  /** The 784 values that were encrypted. */
  normalized: Uint8Array;
  /** The bytes on the wire. */
  query: Uint8Array;
  response: Uint8Array;
}

export interface Trouble {
  code: string;
  recovery: "upload_key" | "refresh_model" | "retry" | "none";
  message: string;
}

export type ToWorker =
  | { type: "prepare"; id: number }
  | { type: "score"; id: number; drawing: Drawing }
  | { type: "cancel" }
  | { type: "forget"; id: number };

export type FromWorker =
  | { type: "model"; model: ModelFacts }
  | { type: "progress"; phase: "generate" | "upload"; fraction: number }
  | { type: "keys"; keys: KeyFacts }
  | { type: "prepared"; id: number }
  | { type: "answer"; id: number; answer: Answer }
  | { type: "blank"; id: number }
  | { type: "forgotten"; id: number }
  | { type: "failed"; id: number; trouble: Trouble };
