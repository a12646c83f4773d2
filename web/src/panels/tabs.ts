// Tabs between the page's demos. The address says which one is open, so that each has a link;
// public/tab.js reads it.
const STEPS: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1 };

export type TabName = "digit" | "loan";

export class Tabs {
  #tabs = [...document.querySelectorAll<HTMLAnchorElement>('[role="tab"]')];
  #panel = document.querySelector('[role="tabpanel"]')!;
  #open: TabName = "digit";

  constructor(chosen: (name: TabName) => void) {
    this.#mark();
    addEventListener("hashchange", () => {
      const before = this.#open;
      this.#mark();
      if (this.#open !== before) chosen(this.#open);
    });
    for (const tab of this.#tabs) tab.addEventListener("keydown", (event) => this.#key(event, tab));
  }

  /** Returns the open tab. */
  get open(): TabName {
    return this.#open;
  }

  #mark() {
    this.#open = document.documentElement.dataset.tab === "loan" ? "loan" : "digit";
    for (const tab of this.#tabs) {
      const isOpen = tab.hash === `#${this.#open}`;
      tab.setAttribute("aria-selected", String(isOpen));
      tab.tabIndex = isOpen ? 0 : -1;
      if (isOpen) this.#panel.setAttribute("aria-labelledby", tab.id);
    }
  }

  /** Opens another tab: arrow keys, Home and End; Space does what Enter does for a link. */
  #key(event: KeyboardEvent, tab: HTMLAnchorElement) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const { length } = this.#tabs;
    const at = this.#tabs.indexOf(tab);
    const step = STEPS[event.key];
    const to = step ? (at + step + length) % length : { Home: 0, End: length - 1, " ": at }[event.key];
    const target = to === undefined ? undefined : this.#tabs[to];
    if (!target) return;
    event.preventDefault();
    target.focus();
    target.click();
  }
}
