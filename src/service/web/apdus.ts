import type { Api, Client } from "./api.ts";
import { badge, element, labelled, Outcome, type Tone } from "./elements.ts";

interface Named {
  readonly name: string;
  readonly standard: string;
}

interface Status {
  readonly code: string;
  readonly kind: string;
  readonly name: string;
  readonly advice?: string;
}

interface Explained {
  readonly name: string;
  readonly standard: string;
  readonly details: readonly string[];
  readonly answer?: { readonly status?: Status; readonly details: readonly string[] };
}

interface Sent {
  readonly command: string;
  readonly name: string;
  readonly data: string;
  readonly status?: Status;
  readonly details: readonly string[];
}

const toneOf = (kind: string): Tone => (kind === "success" ? "good" : kind === "warning" ? "warn" : "bad");

const statusBadge = ({ code, name, kind }: Status): HTMLElement => badge(`${code}: ${name}`, toneOf(kind));

/** Lines of an explanation; a deeper one is indented by blanks. */
const lines = (details: readonly string[]): HTMLElement | undefined =>
  details.length === 0 ? undefined : element("p", { class: "details" }, details.join("\n"));

const spaced = (hex: string): string => (hex.match(/../gu) ?? []).join(" ");
const compact = (text: string): string => text.replaceAll(/[\s:]/gu, "");

/** Builds and explains command APDUs, and sends them to the practice card. */
export class ApdusView {
  readonly title = "APDU explorer";
  readonly place: HTMLElement;
  readonly #api: Api;
  readonly #name = element("select", { required: true });
  readonly #fields = {
    p1: element("input", { class: "mono", value: "00", maxlength: 2, pattern: "[0-9A-Fa-f]{2}" }),
    p2: element("input", { class: "mono", value: "00", maxlength: 2, pattern: "[0-9A-Fa-f]{2}" }),
    data: element("input", { class: "mono", autocomplete: "off", spellcheck: "false" }),
    le: element("input", { type: "number", min: 1, max: 65_536 }),
  };
  readonly #command = element("textarea", { rows: 3, spellcheck: "false", autocomplete: "off" });
  readonly #answer = element("input", { class: "mono", spellcheck: "false", autocomplete: "off" });
  readonly #reset = element("input", { type: "checkbox" });
  readonly #explanation = element("div", { class: "view", "aria-live": "polite" });
  readonly #exchanges = element("ol", { class: "exchanges", "aria-label": "Exchanges with the practice card" });
  readonly #built = new Outcome();
  readonly #outcome = new Outcome();

  constructor(api: Api, client: Client) {
    this.#api = api;
    this.place = element(
      "section",
      { class: "view", "aria-labelledby": "apdus" },
      element("h1", { id: "apdus", tabindex: -1 }, "APDU explorer"),
      element("p", { class: "quiet" }, "Card commands of ISO/IEC 7816-4. Nothing here reaches a real card."),
      this.#builder(),
      this.#explorer(client.practiceCard),
    );
    void this.#loadNames();
  }

  async #loadNames(): Promise<void> {
    const { items } = await this.#api.get<{ items: readonly Named[] }>("/v1/apdu/commands");
    const names = new Map(items.map(({ name, standard }) => [name, standard]));
    this.#name.replaceChildren(
      ...[...names].map(([name, standard]) => element("option", { value: name }, `${name} – ${standard}`)),
    );
    this.#name.value = "SELECT";
  }

  #builder(): HTMLElement {
    const button = element("button", { type: "submit" }, "Build");
    const { p1, p2, data, le } = this.#fields;
    const form = element(
      "form",
      { class: "panel", "aria-labelledby": "build" },
      element("h2", { id: "build" }, "Build a command"),
      element(
        "div",
        { class: "fields" },
        labelled("Command", this.#name, { class: "wide" }),
        labelled("P1 (hex)", p1),
        labelled("P2 (hex)", p2),
        labelled("Bytes of the answer (Le)", le),
        labelled("Data (hex)", data, { class: "wide" }),
      ),
      element("div", { class: "actions" }, button),
      this.#built.place,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#built.during(button, async () => {
        const { command } = await this.#api.post<{ command: string }>("/v1/apdu/build", {
          ...{ name: this.#name.value, p1: p1.value, p2: p2.value, data: compact(data.value) },
          ...(le.value !== "" && { le: Number(le.value) }),
        });
        this.#command.value = spaced(command);
        this.#built.show("The command is in the field below.", "good");
        await this.#explain();
      });
    });
    return form;
  }

  #explorer(maySend: boolean): HTMLElement {
    const explain = element("button", { type: "submit", class: "main" }, "Explain");
    const send = element("button", { type: "button" }, "Send to the practice card");
    const form = element(
      "form",
      { class: "panel", "aria-labelledby": "explain" },
      element("h2", { id: "explain" }, "Explain and send"),
      labelled("Command APDU (hex)", this.#command),
      labelled("Answer of the card (hex, optional)", this.#answer),
      element("div", { class: "actions" }, explain, maySend ? send : undefined),
      maySend
        ? element("label", { class: "check" }, this.#reset, "Reset the practice card first")
        : element(
            "p",
            { class: "quiet small" },
            'To send commands to the practice card, the client needs the role "admin" for every token.',
          ),
      maySend
        ? element(
            "p",
            { class: "quiet small" },
            "The practice card is a virtual PIV card of this service, shared by its administrators. Its PIN is 123456. One command a line.",
          )
        : undefined,
      this.#outcome.place,
      this.#explanation,
      this.#exchanges,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#outcome.during(explain, () => this.#explain());
    });
    send.addEventListener("click", () => {
      void this.#outcome.during(send, () => this.#send());
    });
    return form;
  }

  async #explain(): Promise<void> {
    const [command = "", ...others] = this.#commands();
    const answer = compact(this.#answer.value);
    const explained = await this.#api.post<Explained>("/v1/apdu/explain", {
      command,
      ...(answer !== "" && { answer }),
    });
    this.#outcome.clear();
    if (others.length > 0) this.#outcome.show("The first command is explained.", "plain");
    const { name, standard, details } = explained;
    this.#explanation.replaceChildren(
      element("div", {}, element("h3", {}, name), element("p", { class: "quiet small" }, standard || "No standard")),
      ...[lines(details), explained.answer?.status && statusBadge(explained.answer.status)].filter(isThere),
      ...[lines(explained.answer?.details ?? [])].filter(isThere),
    );
  }

  async #send(): Promise<void> {
    const { answers } = await this.#api.post<{ answers: readonly Sent[] }>("/v1/apdu/send", {
      commands: this.#commands(),
      ...(this.#reset.checked && { reset: true }),
    });
    this.#exchanges.replaceChildren(
      ...answers.map(({ command, name, data, status, details }) =>
        element(
          "li",
          {},
          element("strong", {}, name),
          element("span", { class: "mono" }, `> ${spaced(command)}`),
          element("span", { class: "mono" }, `< ${spaced(data + (status?.code ?? ""))}`),
          element("span", {}, ...[status && statusBadge(status)].filter(isThere)),
          lines(details),
        ),
      ),
    );
    this.#outcome.show(answers.length === 1 ? "1 command sent." : `${answers.length} commands sent.`, "good");
  }

  #commands(): readonly string[] {
    const commands = this.#command.value
      .split("\n")
      .map(compact)
      .filter((line) => line !== "");
    if (commands.length === 0) throw new Error("Enter a command first.");
    const wrong = commands.find((line) => !/^([0-9a-f]{2})+$/iu.test(line));
    if (wrong !== undefined) throw new Error(`"${wrong}" is not hexadecimal, two digits a byte.`);
    return commands;
  }
}

const isThere = <T>(value: T | undefined): value is T => value !== undefined;
