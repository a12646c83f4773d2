// The tray of examples: the first 20 test images of MNIST.
import { inkCanvas } from "./raster";
import url from "./examples.bin?url";

const RECORD = 1 + 28 * 28;
const KEYS: Record<string, number> = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

export class Examples {
  #tray: HTMLElement;
  #toggle: HTMLButtonElement;
  #loaded = false;
  #chosen: (image: HTMLCanvasElement, label: number) => void;

  constructor(
    tray: HTMLElement,
    toggle: HTMLButtonElement,
    chosen: (image: HTMLCanvasElement, label: number) => void,
  ) {
    this.#tray = tray;
    this.#toggle = toggle;
    this.#chosen = chosen;
    toggle.addEventListener("click", () => this.#open(Boolean(tray.hidden)));
    tray.addEventListener("keydown", (event) => this.#key(event));
  }

  async #open(open: boolean) {
    this.#tray.hidden = !open;
    this.#toggle.setAttribute("aria-expanded", String(open));
    if (!open || this.#loaded) return;
    this.#loaded = true;
    try {
      const response = await fetch(url);
      if (!response.ok) throw new Error(response.statusText);
      this.#fill(new Uint8Array(await response.arrayBuffer()));
    } catch {
      this.#loaded = false;
      this.#tray.textContent = "The examples could not be loaded. Close and open this to try again.";
    }
  }

  #fill(records: Uint8Array) {
    this.#tray.textContent = "";
    for (let at = 0; at + RECORD <= records.length; at += RECORD) {
      const label = records[at]!;
      const image = inkCanvas(records.subarray(at + 1, at + RECORD));
      const button = document.createElement("button");
      button.type = "button";
      button.tabIndex = at === 0 ? 0 : -1;
      button.setAttribute("aria-label", `Example ${1 + at / RECORD}, a ${label}`);
      button.append(image);
      button.addEventListener("click", () => {
        this.#focus(button);
        this.#chosen(image, label);
      });
      this.#tray.append(button);
    }
  }

  /** One tab stop; arrows, Home and End move within the tray. */
  #key(event: KeyboardEvent) {
    const buttons = [...this.#tray.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    if (event.key === "Escape") {
      void this.#open(false);
      this.#toggle.focus();
      return;
    }
    const step = KEYS[event.key];
    const to = event.key === "Home" ? 0 : event.key === "End" ? buttons.length - 1 : step ? at + step : -1;
    const target = buttons[to];
    if (at < 0 || !target) return;
    event.preventDefault();
    this.#focus(target);
  }

  #focus(target: HTMLButtonElement) {
    for (const button of this.#tray.querySelectorAll("button")) button.tabIndex = button === target ? 0 : -1;
    target.focus();
  }
}
