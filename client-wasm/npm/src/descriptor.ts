/** Description of a model, as the server publishes it. */
export interface ModelDescriptor {
  /** Name in addresses; `name@version` for a fixed version. */
  name: string;
  /** Fingerprint of the model's content, which changes with it. */
  id: string;
  /** One-line title for people. */
  title: string;
  /** Versions of the wire format that the server reads. */
  formats: number[];
  /** Name of the cryptographic parameters; models of the same set share a key. */
  parameter_set: string;
  inputs: {
    /** Number of features. */
    count: number;
    /** Smallest and largest allowed value of any feature. */
    min: number;
    max: number;
    /** Names and ranges, one per feature, if features have names or ranges of their own. */
    features?: { name?: string; min: number; max: number }[];
    /**
     * Ball that features must also lie in, if there is one: positions in their ranges, 0 to 1, at
     * most `max` away from `centre`.
     */
    norm?: { centre: number; max: number };
    /** Number of values that a feature is rounded to. */
    levels: number;
    /** Shape of the image, if the features are its pixels, row by row. */
    image?: {
      width: number;
      height: number;
      /** Whether `encrypt` deskews the image first. */
      deskew?: boolean;
    };
    /** How a record becomes the features, if they are not the record itself. */
    encoding?: {
      /** Columns of a record, which are numbered first. */
      columns: {
        /** Name of the column; without names, records are lists in this order. */
        name?: string;
        kind: "number" | "integer" | "flag" | "category" | "text";
        /** Whether numbers are rounded to single precision first. */
        single?: boolean;
      }[];
      /** Steps of the public part, in order: an object with the step's name for its only key. */
      steps: object[];
      /** Numbers that are the features, as ranges `[first, count]`. */
      features: [number, number][];
    };
  };
  /** Torus element that encodes one level of a feature. */
  input_step: number;
  /**
   * Factor of precision, if a query has every feature twice: once as levels times `input_step`, and once
   * with a step `fine_features` times smaller.
   */
  fine_features?: number;
  /** One entry per score: its name, and how a decrypted number becomes a score. */
  outputs: { label: string; offset: number; half_range: number }[];
  /**
   * Factor of precision, if a response has every score twice: once as `outputs` says, and once with a
   * half range `fine` times smaller.
   */
  fine?: number;
  /** What of the answer leaves the server: the scores, unless it is `label`. */
  answer?: "scores" | "label";
  /** Purpose of the scores: one of several classes, labels that each hold or not, or values. */
  task: "classification" | "multilabel" | "regression";
  /**
   * Labels of the classes, if not each has one score: of the two between which the sign of the only
   * score decides, or of those that several models (`mean`) or pairs (`one-vs-one`, `votes`) decide
   * between.
   */
  classes?: string[];
  /** Link function from scores to probabilities or values. */
  link: "softmax" | "sigmoid" | "one-vs-rest" | "probability" | "exp" | "identity" | "mean" | "one-vs-one" | "votes";
  /** Models whose probabilities are averaged, for the link `mean`; the scores of the first come first. */
  members?: {
    link: "softmax" | "sigmoid" | "one-vs-rest" | "isotonic" | "identity";
    scores: number;
    weight: number;
    /** For `isotonic`: how each score becomes a probability, linear between thresholds. */
    curves?: { thresholds: number[]; probabilities: number[] }[];
  }[];
  /** Sizes on the wire, in bytes. */
  sizes: { public_key: number; query: number; response: number };
  /** Standard deviation of a decrypted score's error, in the score's units. */
  score_error: number;
  /** Share of a public test set that the model gets right, if known. */
  accuracy?: number;
  /** Most queries in one request, if each takes so long that fewer are sent than usual. */
  batch?: number;
  /** Version under the model's name, where the server keeps versions. */
  version?: number;
}

/** Decrypted answer. */
export interface Scores {
  /**
   * Class that the scores decide for; `null` if the model doesn't classify, or if the server sends only
   * the label and there is none: noise made three or more nearly equal classes win and lose in a
   * circle, or the row is outside of a network's range.
   */
  label: string | null;
  /**
   * Position of that class. If one score decides between two classes: 1 if it is positive,
   * otherwise 0.
   */
  index: number | null;
  /**
   * Scores in the model's units, one per output. If the server sends only the label: 1 for the class that
   * it is and -1 for others, or the sign of the only score.
   */
  scores: Float64Array;
  /**
   * Probabilities from the model's link function: one per class, or one per output of a model
   * without classes. Empty if the link gives none.
   */
  probabilities: Float64Array;
  /** Values of a regression, one per output: the scores, or `exp` of them. Empty for other tasks. */
  values: Float64Array;
}
