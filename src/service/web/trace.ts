import { type Api, follow, Refusal, type ServerEvent } from "./api.ts";
import { badge, drawing, element, Outcome } from "./elements.ts";
import { columns, type Span, timeline } from "./timeline.ts";

interface CallEvent {
  readonly time: number;
  readonly duration: number;
  readonly function: string;
  readonly rv: string;
}

interface ApduEvent {
  readonly time: number;
  readonly duration: number;
  readonly reader: string;
  readonly explanation: { readonly name: string; readonly details: readonly string[] };
  readonly status?: { readonly code: string; readonly kind: string; readonly name: string };
  readonly error?: string;
}

/** A line of the waterfall. */
interface Line extends Span {
  readonly kind: "call" | "apdu";
  readonly name: string;
  readonly detail: string;
  readonly outcome: string;
  readonly isRight: boolean;
}

/** Lines of the waterfall, and seconds of the charts. */
const LINES = 40;
const SECONDS = 60;
/** Milliseconds between two drawings. */
const REDRAW = 1000;
const SIGNING = new Set(["C_Sign", "C_SignFinal", "C_SignMessage"]);

/** Calls and APDUs as they happen: a waterfall and two charts. */
export class TraceView {
  readonly title = "Trace";
  readonly place: HTMLElement;
  readonly #outcome = new Outcome();
  readonly #lines: Line[] = [];
  readonly #recent: Line[] = [];
  readonly #rows = element("tbody");
  readonly #signatures = new Chart("Signatures a second", "call", "");
  readonly #durations = new Chart("Longest APDU of each second", "apdu", " ms");
  readonly #pause = element("button", { type: "button", "aria-pressed": "false" }, "Pause");
  #isDirty = false;

  constructor(api: Api, signal: AbortSignal) {
    const heads = ["What", "Outcome", "Milliseconds", "When"].map((head) => element("th", { scope: "col" }, head));
    this.place = element(
      "section",
      { class: "view", "aria-labelledby": "trace" },
      element("div", { class: "head" }, element("h1", { id: "trace", tabindex: -1 }, "Trace"), this.#pause),
      element(
        "p",
        { class: "quiet" },
        `PKCS #11 calls, and under them the APDUs that were sent to cards, without secrets. The last ${LINES} are shown; idle time between them is left out.`,
      ),
      this.#outcome.place,
      element("div", { class: "charts" }, this.#signatures.place, this.#durations.place),
      element(
        "div",
        { class: "panel scroll", tabindex: 0, role: "region", "aria-label": "Waterfall" },
        element(
          "table",
          { class: "waterfall" },
          element("caption", { class: "hidden" }, "Calls and APDUs in the order in which they began"),
          element("thead", {}, element("tr", {}, ...heads)),
          this.#rows,
        ),
      ),
    );
    this.#pause.addEventListener("click", () => {
      const pressed = this.#pause.getAttribute("aria-pressed") !== "true";
      this.#pause.setAttribute("aria-pressed", String(pressed));
      this.#draw();
    });
    const timer = setInterval(() => {
      this.#drawCharts();
      if (this.#isDirty) this.#draw();
    }, REDRAW);
    signal.addEventListener("abort", () => {
      clearInterval(timer);
    });
    this.#drawCharts();
    follow(api, "/v1/trace", signal, (event) => {
      this.#take(event);
    }).catch((error: unknown) => {
      this.#outcome.show(error instanceof Refusal ? error.message : String(error), "bad");
    });
  }

  #take({ type, data }: ServerEvent): void {
    if (type === "closed") this.#outcome.show("The connection is broken; trying again.", "warn");
    if (type === "open") {
      this.#outcome.clear();
      // What is kept comes again.
      this.#lines.length = 0;
      this.#recent.length = 0;
    }
    if (type !== "call" && type !== "apdu") return;
    const line = type === "call" ? callLine(data as CallEvent) : apduLine(data as ApduEvent);
    this.#lines.push(line);
    this.#recent.push(line);
    if (this.#lines.length > LINES) this.#lines.shift();
    this.#isDirty = true;
  }

  #drawCharts(): void {
    const now = Date.now();
    const from = now - SECONDS * 1000;
    while ((this.#recent[0]?.start ?? now) < from) this.#recent.shift();
    const signatures = this.#recent.filter(
      ({ kind, name, isRight }) => kind === "call" && isRight && SIGNING.has(name),
    );
    this.#signatures.draw(columns(signatures, from, SECONDS, (lines) => lines.length));
    const apdus = this.#recent.filter(({ kind }) => kind === "apdu");
    this.#durations.draw(
      columns(apdus, from, SECONDS, (lines) => Math.max(0, ...lines.map(({ duration }) => duration))),
    );
  }

  #draw(): void {
    if (this.#pause.getAttribute("aria-pressed") === "true") return;
    this.#isDirty = false;
    const ordered = [...this.#lines].sort(inOrder);
    const bars = timeline(ordered);
    this.#rows.replaceChildren(
      ...ordered.map((line, index) => {
        const { kind, name, detail, outcome, isRight, duration } = line;
        const { from, length } = bars[index] ?? { from: 0, length: 0 };
        const bar = drawing(
          "svg",
          { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
          drawing("rect", { class: kind, x: 100 * from, y: 1, width: Math.max(0.6, 100 * length), height: 8 }),
        );
        return element(
          "tr",
          { class: kind === "apdu" ? "exchange" : undefined },
          element("td", {}, element("strong", {}, name), detail === "" ? undefined : ` ${detail}`),
          element("td", {}, isRight ? outcome : badge(outcome, "warn")),
          element("td", { class: "number" }, duration.toFixed(1)),
          element("td", {}, bar),
        );
      }),
    );
  }
}

/** Times are whole milliseconds: of what began in the same one, calls come before exchanges; otherwise the order of their ends stays. */
const inOrder = (a: Line, b: Line): number =>
  a.start - b.start || Number(a.kind === "apdu") - Number(b.kind === "apdu");

const callLine = (event: CallEvent): Line => ({
  ...{ kind: "call", start: event.time, duration: event.duration, name: event.function },
  ...{ detail: "", outcome: event.rv, isRight: event.rv === "CKR_OK" },
});

const apduLine = ({ time, duration, reader, explanation, status, error }: ApduEvent): Line => ({
  ...{ kind: "apdu", start: time, duration, name: explanation.name, detail: `in ${reader}` },
  outcome: error ?? (status ? `${status.code} ${status.name}` : "no status word"),
  isRight: error === undefined && status?.kind === "success",
});

/** A bar for each second. */
class Chart {
  readonly place: HTMLElement;
  readonly #name: string;
  readonly #unit: string;
  readonly #kind: string;
  readonly #drawing = drawing("svg", {
    ...{ class: "chart", role: "img", preserveAspectRatio: "none", viewBox: `0 0 ${SECONDS} 1` },
  });
  readonly #words = element("p", { class: "quiet small" });

  constructor(name: string, kind: "call" | "apdu", unit: string) {
    this.#name = name;
    this.#kind = kind;
    this.#unit = unit;
    this.place = element("div", { class: "panel" }, element("h2", {}, name), this.#drawing, this.#words);
  }

  draw(values: readonly number[]): void {
    const most = Math.max(0, ...values);
    const now = values.at(-1) ?? 0;
    const text = `Last second: ${this.#shown(now)}. Most in ${SECONDS} seconds: ${this.#shown(most)}.`;
    this.#words.textContent = text;
    this.#drawing.setAttribute("aria-label", `${this.#name}. ${text}`);
    this.#drawing.replaceChildren(
      ...values.map((value, index) => {
        const height = most === 0 ? 0 : value / most;
        return drawing("rect", { class: this.#kind, x: index + 0.1, y: 1 - height, width: 0.8, height });
      }),
    );
  }

  #shown(value: number): string {
    return `${Number.isInteger(value) ? value : value.toFixed(1)}${this.#unit}`;
  }
}
