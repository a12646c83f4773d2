// What the server knows: everything that this page has sent.
import { byId, make } from "../dom";
import { bytes, clock, count, day, size } from "../format";
import type { KeyFacts, Sent } from "../messages";

interface Queries {
  drawn: number;
  blank: number;
  bytes: number;
}

export class ServerKnowledge {
  #list = byId("knows-list");
  /** Keys by id: models with the same parameters share a key. */
  #keys = new Map<string, KeyFacts>();
  #queries = new Map<string, Queries>();
  #last: Date | null = null;
  /** Returns the title of a model. */
  #title: (model: string) => string;

  constructor(title: (model: string) => string) {
    this.#title = title;
    this.#show();
  }

  key(keys: KeyFacts) {
    this.#keys.set(keys.keyId, keys);
    this.#show();
  }

  sent({ model, bytes, blank }: Sent) {
    const before = this.#queries.get(model) ?? { drawn: 0, blank: 0, bytes: 0 };
    this.#queries.set(model, {
      drawn: before.drawn + Number(!blank),
      blank: before.blank + Number(blank),
      bytes: before.bytes + bytes,
    });
    this.#last = new Date();
    this.#show();
  }

  /** Removes the keys, which the server has deleted; it still knows about the queries. */
  forgotten() {
    this.#keys.clear();
    this.#show();
  }

  #show() {
    const keys = [...this.#keys.values()].map((key) => {
      const until = key.expiresAt ? `, until ${day(key.expiresAt)}` : "";
      return `public key ${key.keyId.slice(0, 8)}…, ${size(key.publicKeyBytes)}${until}`;
    });
    const queries = [...this.#queries].flatMap(([model, { drawn, blank, bytes: sum }]) => {
      const size = bytes(sum / (drawn + blank));
      const to = this.#title(model).toLowerCase();
      const some = (n: number, kind: string) => `${count(n)} ${kind} ${n === 1 ? "query" : "queries"} of ${size} to the ${to}`;
      const empty = blank > 0 ? [`${some(blank, "empty")}, to try it out`] : [];
      return drawn > 0 ? [some(drawn, "encrypted"), ...empty] : empty;
    });
    const when = this.#last ? [`when they came, the last at ${clock(this.#last)}`] : [];
    const lines = [...keys, ...queries, ...when, "your network address, your browser’s name"];
    this.#list.replaceChildren(...lines.map((line) => make("li", "", line)));
  }
}
