// Tray of examples: the first test images of MNIST, and some that the models misread.
import { make } from "../dom";
import data from "./examples.json";
import url from "./examples.bin?url";
import { inkCanvas } from "../raster";

const PIXELS = 28 * 28;
const STEPS: Record<string, number> = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/** Test image of MNIST. */
export interface Example {
  /** Position in the test set. */
  index: number;
  /** Digit that it shows, according to MNIST. */
  label: string;
  /** Models that misread it, and the digit that each of them reads. */
  misread?: { model: string; read: string }[];
}

export class Examples {
  #tray: HTMLElement;
  #toggle: HTMLButtonElement;
  #loaded = false;
  #chosen: (image: HTMLCanvasElement, example: Example) => void;
  /** Returns the title of a model. */
  #title: (model: string) => string;

  constructor(
    tray: HTMLElement,
    toggle: HTMLButtonElement,
    title: (model: string) => string,
    chosen: (image: HTMLCanvasElement, example: Example) => void,
  ) {
    this.#tray = tray;
    this.#toggle = toggle;
    this.#title = title;
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

  #fill(images: Uint8Array) {
    const button = (example: Example, at: number) => {
      return this.#button(inkCanvas(images.subarray(at * PIXELS, (at + 1) * PIXELS)), example);
    };
    const { first, mistakes } = data as { first: Example[]; mistakes: Example[] };
    this.#tray.replaceChildren(
      this.#group("MNIST’s first test digits", first.map(button)),
      this.#group(
        "Misread by one of the models",
        mistakes.map((each, i) => button(each, first.length + i)),
      ),
    );
  }

  #group(title: string, buttons: HTMLButtonElement[]): HTMLElement {
    const group = make("div", "examples-group");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", title);
    const grid = make("div", "examples-grid");
    grid.append(...buttons);
    for (const [at, button] of buttons.entries()) button.tabIndex = at === 0 ? 0 : -1;
    group.append(make("p", "note", title), grid);
    return group;
  }

  #button(image: HTMLCanvasElement, example: Example): HTMLButtonElement {
    const button = make("button", "example");
    button.type = "button";
    const { index, label } = example;
    const misread = (example.misread ?? []).map(({ model, read }) => `, read as ${read} by ${this.#title(model)}`).join("");
    button.setAttribute("aria-label", `Test image ${index}, a ${label}${misread}`);
    if (misread) button.title = `A ${label}${misread}`;
    button.append(image);
    button.addEventListener("click", () => {
      this.#focus(button);
      this.#chosen(image, example);
    });
    return button;
  }

  /** Handles keys in a group, which is a single tab stop: arrows, Home and End move within it. */
  #key(event: KeyboardEvent) {
    if (event.key === "Escape") {
      void this.#open(false);
      this.#toggle.focus();
      return;
    }
    const focused = document.activeElement as HTMLButtonElement;
    const buttons = siblings(focused);
    const at = buttons.indexOf(focused);
    const step = STEPS[event.key];
    const to = event.key === "Home" ? 0 : event.key === "End" ? buttons.length - 1 : step ? at + step : -1;
    const target = buttons[to];
    if (at < 0 || !target) return;
    event.preventDefault();
    this.#focus(target);
  }

  #focus(target: HTMLButtonElement) {
    for (const button of siblings(target)) button.tabIndex = button === target ? 0 : -1;
    target.focus();
  }
}

function siblings(button: HTMLButtonElement): HTMLButtonElement[] {
  return [...(button.parentElement?.querySelectorAll<HTMLButtonElement>(":scope > button") ?? [])];
}
