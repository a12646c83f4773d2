/** What a server tells about a model. */
export interface ModelDescriptor {
  /** Name in addresses; of a pinned version `name@version`. */
  name: string;
  /** Fingerprint; changes with the model's content. */
  id: string;
  /** A line for people. */
  title: string;
  /** Versions of the wire format that the server reads. */
  formats: number[];
  /** Name of the cryptographic parameters; models of the same set share a key. */
  parameter_set: string;
  inputs: {
    /** Number of features. */
    count: number;
    /** Smallest and largest allowed value of a feature; of all of them, if they have ranges of their own. */
    min: number;
    max: number;
    /** When features have names or ranges of their own: one for each. */
    features?: { name?: string; min: number; max: number }[];
    /** When features must also lie in a ball: positions in their ranges, 0 to 1, at most `max` away from `centre`. */
    norm?: { centre: number; max: number };
    /** A feature is rounded to one of this many values. */
    levels: number;
    /** When the features are the pixels of an image, row by row. */
    image?: {
      width: number;
      height: number;
      /** `encrypt` straightens the image first. */
      deskew?: boolean;
    };
  };
  /** What one level of a feature is encrypted as. */
  input_step: number;
  /** One for each score: its name, and how a decrypted number becomes a score. */
  outputs: { label: string; offset: number; half_range: number }[];
  /** What the scores are for: one of several classes, labels that each hold or not, or values. */
  task: "classification" | "multilabel" | "regression";
  /** The two labels between which the sign of the only score decides, if that is what it does. */
  classes?: [string, string];
  /** How scores become probabilities. */
  link: "softmax" | "sigmoid" | "one-vs-rest" | "identity";
  /** Bytes on the wire. */
  sizes: { public_key: number; query: number; response: number };
  /** Standard deviation of a decrypted score's error, in the score's units. */
  score_error: number;
  /** Share of a public test set that the model gets right. */
  accuracy?: number;
  /** Which version of its name it is, where the server keeps versions. */
  version?: number;
}

/** A decrypted answer. */
export interface Scores {
  /** The class that the scores decide for; null if the model isn't one for classification. */
  label: string | null;
  /** Its position; where one score decides between two classes, 1 if it is positive. */
  index: number | null;
  /** One score for each output, in the model's units. */
  scores: Float64Array;
  /** The scores through the model's link function: one for each output or for each of two classes; none if the link is `identity`. */
  probabilities: Float64Array;
}
