import { constants, createPublicKey, diffieHellman, generateKeyPairSync, publicEncrypt, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { saveCard } from "../../src/virtual/index.ts";
import { CardFolder } from "../cli/card.ts";
import { cryptoki, json, jsonError, type Outcome as Ended } from "../cli/program.ts";
import { CASES, type Case, stepOf, WITHOUT_ROW } from "./matrix.ts";
import type { Subject, SubjectKey, Use } from "./subjects.ts";

const LETTER = Buffer.from("an important letter\n");
const WEAK_PIN =
  /^warning: the new PIN is (?:the one that every new card has|one that everybody guesses; choose another)\n$/u;
const WRONG = "271828";

/** A card in a file, and the command that uses it. */
class Program implements Disposable {
  readonly subject: Subject;
  readonly folder = new CardFolder();
  readonly #outcome: Case["outcome"];
  readonly #peer = generateKeyPairSync("ec", { namedCurve: "P-256" });

  constructor(subject: Subject, outcome: Case["outcome"]) {
    this.subject = subject;
    this.#outcome = outcome;
  }

  run(args: readonly string[], env: Readonly<Record<string, string>>, stdin?: Uint8Array): Promise<Ended> {
    return cryptoki(["--virtual", this.folder.card, ...args], { env, ...(stdin && { stdin }) });
  }

  get token(): readonly string[] {
    const { tokenLabel } = this.subject;
    return tokenLabel === undefined ? [] : [`pkcs11:token=${encodeURIComponent(tokenLabel)}`];
  }

  /**
   * What makes the command read the public key for a signature. On a PKCS #15 card it signs without: it cannot tell a wrong result there.
   */
  #checking(key: SubjectKey): readonly string[] {
    return this.#outcome.fails?.includes(stepOf(key, "sign")) ? ["--verify-results", "always"] : [];
  }

  /** Uses a key with this PIN: "done" where the host finds the result right, otherwise the name of the error. */
  async use(subjectKey: SubjectKey, use: Use, pin: string): Promise<string> {
    const { id, key, hash = "sha256" } = subjectKey;
    const env = { CRYPTOKI_PIN: pin };
    const done = (right: boolean): string => (right ? "done" : "wrong result");
    const publicKey = createPublicKey(key);
    if (use === "sign") {
      const ended = await this.run([...this.#checking(subjectKey), "sign", "--id", id, "--json"], env, LETTER);
      if (ended.code !== 0) return this.#error(ended);
      const { signature } = json(ended) as { signature: string };
      return done(verify(hash, LETTER, publicKey, Buffer.from(signature, "base64")));
    }
    if (use === "decrypt") {
      const secret = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, LETTER);
      const args = ["decrypt", "--mechanism", "RSA_PKCS", "--id", id, "--json"];
      const ended = await this.run(args, env, secret);
      if (ended.code !== 0) return this.#error(ended);
      return done(Buffer.from((json(ended) as { plaintext: string }).plaintext, "base64").equals(LETTER));
    }
    const peer = this.folder.file("peer.pem", this.#peer.publicKey.export({ format: "pem", type: "spki" }));
    const ended = await this.run(["derive", "--id", id, "--peer", peer, "--json"], env);
    if (ended.code !== 0) return this.#error(ended);
    const secret = Buffer.from((json(ended) as { secret: string }).secret, "base64");
    return done(secret.equals(diffieHellman({ privateKey: this.#peer.privateKey, publicKey })));
  }

  #error(ended: Ended): string {
    const { name } = jsonError(ended) as { name?: string };
    return name ?? ended.stderr;
  }

  /** Every use of every key has its outcome. */
  async useAll(pin: string): Promise<void> {
    const { fails = [], absent = [], isTouchMissed, wantsPinUnsaid } = this.#outcome;
    for (const key of this.subject.keys) {
      for (const use of key.uses) {
        const ended = await this.use(key, use, pin);
        const name = `${use} ${key.id}: `;
        if (absent.includes(key.id)) expect(name + ended).toBe(`${name}NotFoundError`);
        else if (fails.includes(stepOf(key, use))) expect(name + ended).toBe(`${name}CKR_DEVICE_ERROR`);
        // The command gives the PIN once more, and with it a second chance to touch the key.
        else if ((isTouchMissed && (use === "derive" || key.id === "02")) || (wantsPinUnsaid && use === "derive"))
          expect(name + ended).toBe(`${name}CKR_FUNCTION_REJECTED`);
        else expect(name + ended).toBe(`${name}done`);
      }
    }
  }

  async triesLeft(): Promise<number | null> {
    const [token] = json(await this.run(["pin", "status", ...this.token, "--json"], {})) as {
      user: { triesLeft: number | null };
    }[];
    return token?.user.triesLeft ?? null;
  }

  /** CKA_IDs of what is listed of one type. */
  async list(type: string): Promise<string[]> {
    const ended = await this.run(["objects", "--login", ...this.token, "--json"], { CRYPTOKI_PIN: this.subject.pin });
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    const objects = json(ended) as { type: string; id: string }[];
    return [...new Set(objects.filter((object) => object.type === type).map(({ id }) => id))].sort();
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}

test("every deviation has a row here, and one in docs/cards.md", () => {
  expect(WITHOUT_ROW).toEqual([]);
  const document = readFileSync(new URL("../../docs/cards.md", import.meta.url), "utf8");
  const named = [...document.matchAll(/^\| `([a-z-]+)` +\|/gmu)].map(([, name]) => name);
  const names = CASES.map(({ deviation }) => deviation).filter((name) => name !== "none");
  expect(named).toEqual(expect.arrayContaining(names));
});

describe.each([...CASES])("the command, with $deviation on $kind", ({ outcome, make }) => {
  test("lists, uses each key, and changes, blocks and unblocks the PIN", async () => {
    const subject = await make();
    using program = new Program(subject, outcome);
    await saveCard(subject.card, program.folder.card);
    const { tries = 3 } = outcome;
    const ids = subject.keys.map(({ id }) => id);

    const tokens = json(await program.run(["tokens", "--json"], {})) as { label: string; serialNumber: string }[];
    const token = tokens.find(({ label }) => subject.tokenLabel === undefined || label === subject.tokenLabel);
    expect(token?.serialNumber).toMatch(outcome.serialNumber ?? /^[0-9A-Fa-f]{4,16}$/u);
    expect(await program.list("private")).toEqual(outcome.listed ?? ids);

    await program.useAll(subject.pin);
    expect(await program.triesLeft()).toBe(tries);

    const newPin = { CRYPTOKI_PIN: subject.pin, CRYPTOKI_NEW_PIN: subject.newPin };
    expect(await program.run(["pin", "change", ...program.token], newPin)).toMatchObject({ code: 0, stderr: "" });
    const { blocked = { name: "CKR_PIN_LOCKED", tries: tries === null ? null : 0 } } = outcome;
    const names = [...Array.from({ length: (tries ?? 3) - 1 }, () => "CKR_PIN_INCORRECT"), blocked.name];
    for (const name of [...names, "CKR_PIN_LOCKED"]) {
      const wrong = await program.run(["objects", "--login", ...program.token, "--json"], { CRYPTOKI_PIN: WRONG });
      expect(jsonError(wrong)).toMatchObject({ name });
    }
    expect(await program.triesLeft()).toBe(blocked.tries);
    const puk = { CRYPTOKI_PUK: subject.puk, CRYPTOKI_NEW_PIN: subject.pin };
    // The virtual cards' own PIN is a weak one.
    const unlocked = await program.run(["pin", "unlock", ...program.token], puk);
    expect(unlocked).toMatchObject({ code: 0, stderr: expect.stringMatching(WEAK_PIN) });
    expect(await program.triesLeft()).toBe(tries);
    expect(await program.list("private")).toEqual(outcome.listed ?? ids);
  });
});
