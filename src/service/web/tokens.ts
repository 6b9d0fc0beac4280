import { type Api, type Certificate, type Client, type Key, type PinState, Refusal, type Token } from "./api.ts";
import { announce, badge, element, labelled, Outcome, table } from "./elements.ts";
import { algorithmText, dateText, keyName, pinText, triesText, validity } from "./words.ts";

/** A token in a reader, and its keys. */
export interface Seen {
  readonly token: Token;
  readonly keys: readonly Key[];
}

/** The tokens that are in, with their PINs, keys and certificates. */
export class TokensView {
  readonly title = "Cards";
  readonly place = element("section", { class: "view", "aria-labelledby": "cards" });
  readonly #api: Api;
  readonly #client: Client;
  readonly #panels = new Map<string, TokenPanel>();
  readonly #none = element("p", { class: "panel quiet" }, "No card is in a reader. Insert one, and it appears here.");
  readonly #list = element("div", { class: "view" });
  readonly #changed: () => void;
  #loading: Promise<void> = Promise.resolve();

  /** @param changed Called when tokens or keys come or go. */
  constructor(api: Api, client: Client, changed: () => void) {
    this.#api = api;
    this.#client = client;
    this.#changed = changed;
    this.place.append(element("h1", { id: "cards", tabindex: -1 }, "Cards"), this.#none, this.#list);
  }

  /** The tokens with their keys. */
  get seen(): readonly Seen[] {
    return [...this.#panels.values()].map(({ token, keys }) => ({ token, keys }));
  }

  /** Looks at everything anew. One look follows the other. */
  reload(): Promise<void> {
    return this.#next(() => this.#load());
  }

  /** Looks at one token anew. */
  refresh(name: string): Promise<void> {
    return this.#next(async () => {
      await this.#panels.get(name)?.load();
      this.#changed();
    });
  }

  #next(work: () => Promise<void>): Promise<void> {
    this.#loading = this.#loading.catch(() => undefined).then(work);
    return this.#loading;
  }

  /** Says again which certificates have expired by now. */
  tick(): void {
    for (const panel of this.#panels.values()) panel.showCertificates();
  }

  async #load(): Promise<void> {
    const tokens = await this.#api.list<Token>("/v1/tokens");
    const names = new Set(tokens.map(({ token }) => token));
    for (const [name, panel] of this.#panels) {
      if (names.has(name)) continue;
      panel.place.remove();
      this.#panels.delete(name);
      announce(`Card removed from ${panel.token.reader}: ${panel.token.label}`);
    }
    for (const token of tokens) {
      const known = this.#panels.get(token.token);
      if (!known) announce(`Card in ${token.reader}: ${token.label}`);
      const panel = known ?? new TokenPanel(this.#api, this.#client, token);
      await panel.load();
      this.#panels.set(token.token, panel);
      if (!known) this.#list.append(panel.place);
    }
    this.#none.hidden = tokens.length > 0;
    this.#changed();
  }
}

const fact = (name: string, value: string): HTMLElement =>
  element("div", {}, element("dt", {}, name), element("dd", {}, value === "" ? "–" : value));

/** One token. Its form stays in place while what it shows changes, so that no typing is lost. */
class TokenPanel {
  readonly place: HTMLElement;
  readonly token: Token;
  keys: readonly Key[] = [];
  readonly #api: Api;
  readonly #path: string;
  readonly #pin = element("span");
  readonly #keys = element("div");
  readonly #certificates = element("div");
  readonly #problem = new Outcome();
  #held: readonly Certificate[] = [];
  /** What the table of certificates says: it is not drawn anew while that is so. */
  #shown = "";

  constructor(api: Api, client: Client, token: Token) {
    this.#api = api;
    this.token = token;
    this.#path = `/v1/tokens/${token.token}`;
    const { label, reader, manufacturer, model, serial } = token;
    const heading = `token-${token.token}`;
    this.place = element(
      "article",
      { class: "panel", "aria-labelledby": heading },
      element("div", { class: "head" }, element("h2", { id: heading }, label), this.#pin),
      element(
        "dl",
        { class: "facts" },
        ...[fact("Reader", reader), fact("Manufacturer", manufacturer), fact("Model", model), fact("Serial", serial)],
      ),
      this.#problem.place,
      element("h3", {}, "Keys"),
      this.#keys,
      element("h3", {}, "Certificates"),
      this.#certificates,
      client.pinsInRequests && client.roles.includes("manage") ? this.#pinForm() : undefined,
    );
  }

  async load(): Promise<void> {
    try {
      const pin = await this.#api.get<PinState>(`${this.#path}/pin`);
      const { text, tone } = pinText(pin);
      this.#pin.replaceChildren(badge(text, tone));
      this.keys = await this.#api.list<Key>(`${this.#path}/keys`);
      this.#held = await this.#api.list<Certificate>(`${this.#path}/certificates`);
      this.#problem.clear();
    } catch (error) {
      this.#problem.show(error instanceof Error ? error.message : String(error), "bad");
    }
    this.#showKeys();
    this.showCertificates();
  }

  #showKeys(): void {
    const rows = this.keys.map((key) => [
      keyName(key),
      algorithmText(key.algorithm),
      element("span", { class: "mono", title: key.key }, `${key.key.slice(0, 16)} …`),
    ]);
    const shown = rows.length > 0;
    this.#keys.replaceChildren(
      shown
        ? table(`Keys of ${this.token.label}`, ["Name", "Type", "Fingerprint"], rows)
        : element("p", { class: "quiet" }, "No keys can be seen."),
    );
  }

  showCertificates(): void {
    const now = Date.now();
    const states = this.#held.map((one) => validity(one, now));
    const shown = JSON.stringify([this.#held, states]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    const rows = this.#held.map((one, index) => {
      const { text, tone } = states[index] ?? { text: "", tone: "plain" };
      const until = element("time", { datetime: one.notAfter }, dateText(one.notAfter));
      return [one.label, one.subject, one.issuer, until, badge(text, tone)];
    });
    this.#certificates.replaceChildren(
      rows.length > 0
        ? table(`Certificates of ${this.token.label}`, ["Name", "Subject", "Issuer", "Until (UTC)", "State"], rows)
        : element("p", { class: "quiet" }, "No certificates."),
    );
  }

  #pinForm(): HTMLElement {
    const pin = element("input", { type: "password", autocomplete: "off", maxlength: 255, required: true });
    const button = element("button", { type: "submit" }, "Log in");
    const outcome = new Outcome();
    const form = element(
      "form",
      { "aria-label": `Log in to ${this.token.label}` },
      element("div", { class: "actions" }, labelled("PIN", pin), button),
      outcome.place,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const { value } = pin;
      pin.value = "";
      void outcome.during(button, async () => {
        try {
          await this.#api.post(`${this.#path}/pin/login`, { pin: value });
          outcome.show("Logged in.", "good");
        } catch (error) {
          if (!(error instanceof Refusal)) throw error;
          outcome.show(pinProblem(error), "bad");
        }
        await this.load();
      });
    });
    return form;
  }
}

function pinProblem({ code, triesLeft, message }: Refusal): string {
  if (code === "CKR_PIN_LOCKED") return "The PIN is blocked: no tries left. Unblock it with the PUK.";
  if (code !== "CKR_PIN_INCORRECT") return message;
  return triesLeft === undefined ? "The PIN is wrong." : `The PIN is wrong: ${triesText(triesLeft)}.`;
}
