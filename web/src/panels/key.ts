// Facts about the page's key.
import { byId } from "../dom";
import { bytes, clock, day } from "../format";
import type { KeyFacts } from "../messages";

export class KeyCard {
  #forget = byId<HTMLButtonElement>("forget");
  /** Whether there is any key to forget, shown or not. */
  #isForgettable = false;

  show(keys: KeyFacts) {
    byId("secret-key").textContent = keys.kept ? "in this browser’s storage" : "in this page’s memory only";
    byId("key-bytes").textContent = bytes(keys.publicKeyBytes);
    byId("key-uploaded").textContent = keys.uploaded ? `yes, at ${clock(new Date())}` : "yes, on an earlier visit";
    byId("key-expires").textContent = keys.expiresAt ? day(keys.expiresAt) : "–";
    const id = byId("key-id");
    id.textContent = keys.keyId;
    id.title = keys.keyId;
    this.#isForgettable = true;
    this.#forget.disabled = false;
  }

  /** Shows that the model in use has no key yet. */
  none() {
    for (const id of ["secret-key", "key-uploaded"]) byId(id).textContent = "–";
    this.#dash();
  }

  /** Disables the button while the server deletes the key. */
  forgetting() {
    this.#forget.disabled = true;
  }

  keep() {
    this.#forget.disabled = !this.#isForgettable;
  }

  forgotten() {
    byId("secret-key").textContent = "wiped";
    byId("key-uploaded").textContent = `deleted at ${clock(new Date())}`;
    this.#dash();
    this.#isForgettable = false;
    this.#forget.disabled = true;
  }

  #dash() {
    byId("key-bytes").textContent = byId("key-expires").textContent = "–";
    const id = byId("key-id");
    id.textContent = "–";
    id.removeAttribute("title");
  }
}
