import { type Api, type Client, fromBase64Url, type Key, toBase64Url } from "./api.ts";
import { element, labelled, Outcome } from "./elements.ts";
import type { Seen } from "./tokens.ts";
import { keyName } from "./words.ts";

/** Algorithms that a key signs with, as JOSE names them. */
function algorithmsOf({ algorithm: { type, curve } }: Key): readonly string[] {
  if (type === "rsa") return ["PS256", "PS384", "PS512", "RS256", "RS384", "RS512"];
  if (type === "ed25519") return ["EdDSA"];
  const byCurve: Readonly<Record<string, string>> = { "P-256": "ES256", "P-384": "ES384", "P-521": "ES512" };
  const found = type === "ec" ? byCurve[curve ?? ""] : undefined;
  return found === undefined ? [] : [found];
}

const hashOf = (alg: string): string => `SHA-${alg.slice(2)}`;

/** How the browser imports the public key, and how it verifies. */
function verification(alg: string, { algorithm: { curve } }: Key): { readonly key: object; readonly use: object } {
  if (alg === "EdDSA") return { key: { name: "Ed25519" }, use: { name: "Ed25519" } };
  const hash = hashOf(alg);
  if (alg.startsWith("ES")) return { key: { name: "ECDSA", namedCurve: curve }, use: { name: "ECDSA", hash } };
  const name = alg.startsWith("PS") ? "RSA-PSS" : "RSASSA-PKCS1-v1_5";
  return { key: { name, hash }, use: { name, saltLength: Number(alg.slice(2)) / 8 } };
}

/** Signs a file with a key of a card, and verifies a signature in the browser. */
export class FilesView {
  readonly title = "Sign and verify";
  readonly place: HTMLElement;
  readonly #api: Api;
  readonly #key = element("select", { required: true });
  readonly #algorithm = element("select", { required: true });
  readonly #file = element("input", { type: "file", required: true });
  readonly #signature = element("textarea", { rows: 5, spellcheck: "false", autocomplete: "off" });
  readonly #signatureFile = element("input", { type: "file" });
  readonly #sign = element("button", { type: "submit", class: "main" }, "Sign");
  readonly #verify = element("button", { type: "button" }, "Verify");
  readonly #save = element("button", { type: "button" }, "Save signature");
  readonly #outcome = new Outcome();
  readonly #keys = new Map<string, Key>();

  constructor(api: Api, client: Client) {
    this.#api = api;
    const mayUse = client.roles.includes("use");
    const form = element(
      "form",
      { class: "panel" },
      element(
        "p",
        { class: "quiet" },
        "The file stays in this browser: only its hash is sent to the card. An Ed25519 key signs the file itself, which is sent then.",
      ),
      element(
        "div",
        { class: "fields" },
        labelled("Key", this.#key),
        labelled("Algorithm", this.#algorithm),
        labelled("File", this.#file),
      ),
      mayUse
        ? element("div", { class: "actions" }, this.#sign)
        : element("p", { class: "quiet" }, 'You may verify. To sign, the client needs the role "use".'),
      labelled("Signature (base64url)", this.#signature),
      element("div", { class: "actions" }, labelled("or a signature file", this.#signatureFile)),
      element("div", { class: "actions" }, this.#verify, this.#save),
      this.#outcome.place,
    );
    this.place = element(
      "section",
      { class: "view", "aria-labelledby": "files" },
      element("h1", { id: "files", tabindex: -1 }, "Sign and verify a file"),
      form,
    );
    this.#key.addEventListener("change", () => {
      this.#showAlgorithms();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#outcome.during(this.#sign, () => this.#signFile());
    });
    this.#verify.addEventListener("click", () => {
      void this.#outcome.during(this.#verify, () => this.#verifyFile());
    });
    this.#save.addEventListener("click", () => {
      void this.#outcome.during(this.#save, () => this.#saveSignature());
    });
    this.#signatureFile.addEventListener("change", () => void this.#readSignature());
    this.show([]);
  }

  /** Offers the keys of these tokens; the choice stays while its key is there. */
  show(seen: readonly Seen[]): void {
    const chosen = this.#key.value;
    this.#keys.clear();
    const groups = seen.map(({ token, keys }) => {
      const options = keys
        .filter((key) => algorithmsOf(key).length > 0)
        .map((key) => {
          this.#keys.set(key.key, key);
          return element("option", { value: key.key }, keyName(key));
        });
      return element("optgroup", { label: `${token.label}, ${token.reader}` }, ...options);
    });
    this.#key.replaceChildren(...groups);
    if (this.#keys.has(chosen)) this.#key.value = chosen;
    const none = this.#keys.size === 0;
    if (none) this.#key.append(element("option", { value: "" }, "No key that signs is there"));
    for (const button of [this.#sign, this.#verify, this.#save]) button.disabled = none;
    if (this.#key.value !== chosen || this.#algorithm.value === "") this.#showAlgorithms();
  }

  #showAlgorithms(): void {
    const key = this.#keys.get(this.#key.value);
    const names = key ? algorithmsOf(key) : [];
    this.#algorithm.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
  }

  #chosen(): { readonly key: Key; readonly alg: string; readonly file: File } {
    const key = this.#keys.get(this.#key.value);
    const file = this.#file.files?.[0];
    if (!key) throw new Error("Choose a key first.");
    if (!file) throw new Error("Choose a file first.");
    return { key, alg: this.#algorithm.value, file };
  }

  async #signFile(): Promise<void> {
    const { key, alg, file } = this.#chosen();
    const content = await file.arrayBuffer();
    const input =
      alg === "EdDSA"
        ? { data: toBase64Url(new Uint8Array(content)) }
        : { digest: toBase64Url(new Uint8Array(await crypto.subtle.digest(hashOf(alg), content))) };
    const { signature } = await this.#api.post<{ signature: string }>(`/v1/keys/${key.key}/sign`, { alg, ...input });
    this.#signature.value = signature;
    this.#outcome.show(`${file.name} is signed with ${keyName(key)}.`, "good");
  }

  async #verifyFile(): Promise<void> {
    const { key, alg, file } = this.#chosen();
    const signature = this.#signatureBytes();
    const { key: form, use } = verification(alg, key);
    const publicKey = await crypto.subtle.importKey("jwk", key.jwk, form as EcKeyImportParams, false, ["verify"]);
    const content = await file.arrayBuffer();
    const valid = await crypto.subtle.verify(use as EcdsaParams, publicKey, signature, content);
    if (valid) this.#outcome.show(`The signature is right: ${keyName(key)} signed ${file.name} as it is now.`, "good");
    else this.#outcome.show("The signature is not right: another file, another key, or another algorithm.", "bad");
  }

  #signatureBytes(): Uint8Array<ArrayBuffer> {
    const signature = fromBase64Url(this.#signature.value);
    if (signature.length === 0) throw new Error("Sign the file, or enter a signature first.");
    return signature;
  }

  async #readSignature(): Promise<void> {
    const file = this.#signatureFile.files?.[0];
    if (file) this.#signature.value = toBase64Url(new Uint8Array(await file.arrayBuffer()));
  }

  #saveSignature(): Promise<void> {
    const address = URL.createObjectURL(new Blob([this.#signatureBytes()]));
    const name = `${this.#file.files?.[0]?.name ?? "file"}.sig`;
    element("a", { href: address, download: name }).click();
    URL.revokeObjectURL(address);
    this.#outcome.show(`Saved as ${name}.`, "good");
    return Promise.resolve();
  }
}
