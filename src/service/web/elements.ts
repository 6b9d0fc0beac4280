type Child = Node | string | undefined;
type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** Makes an element of HTML. An attribute that is false or undefined is left out, and one that is true is empty. */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Name] {
  return filled(document.createElement(name), attributes, children);
}

/** Makes an element of SVG. */
export function drawing<Name extends keyof SVGElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[Name] {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled<T extends Element>(made: T, attributes: Attributes, children: readonly Child[]): T {
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : String(value));
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

let fields = 0;

/** A field with its label. */
export function labelled(label: string, field: HTMLElement, attributes: Attributes = {}): HTMLElement {
  field.id = `field-${++fields}`;
  const { class: names, ...others } = attributes;
  return element(
    "div",
    { class: `field ${names ?? ""}`, ...others },
    element("label", { for: field.id }, label),
    field,
  );
}

/** A table. Cells that are text stand for themselves. */
export function table(
  caption: string,
  heads: readonly string[],
  rows: readonly (readonly (Node | string)[])[],
): HTMLElement {
  return element(
    "div",
    // Reachable by the keyboard, so that it can be scrolled.
    { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    element(
      "table",
      {},
      element("caption", { class: "hidden" }, caption),
      element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell))))),
    ),
  );
}

export type Tone = "good" | "warn" | "bad" | "plain";

/** A state in a word or two. */
export const badge = (text: string, tone: Tone): HTMLElement => element("span", { class: `badge ${tone}` }, text);

/** A place for the outcome of an action: screen readers read out what is put there. */
export class Outcome {
  readonly place = element("p", { class: "message", role: "status", "aria-live": "polite" });

  show(text: string, tone: Tone): void {
    this.place.className = `message ${tone}`;
    this.place.textContent = text;
  }

  clear(): void {
    this.place.textContent = "";
  }

  /** Runs an action of a form: its button is off meanwhile, and its error is shown. */
  async during(button: HTMLButtonElement, work: () => Promise<void>): Promise<void> {
    button.disabled = true;
    this.show("Working …", "plain");
    try {
      await work();
    } catch (error) {
      this.show(error instanceof Error ? error.message : String(error), "bad");
    } finally {
      button.disabled = false;
    }
  }
}

/** Says something to those who do not see it. */
export function announce(text: string): void {
  const place = document.querySelector("#announcer");
  if (place) place.textContent = text;
}
