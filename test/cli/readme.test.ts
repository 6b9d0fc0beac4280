import { afterAll, expect, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { createPublicKey, verify, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { saveCard, VirtualPivCard } from "../../src/virtual/index.ts";
import { CardFolder } from "./card.ts";
import { cryptoki } from "./program.ts";

const README = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
const folder = new CardFolder();
afterAll(() => {
  folder[Symbol.dispose]();
});

test("the program with the functions of PKCS #11 signs", async () => {
  await saveCard(await VirtualPivCard.create(), folder.card);
  const [, program = ""] = /## The functions of PKCS #11\n.*?```ts\n(.*?)```/su.exec(README) ?? [];
  const onCard = program.replace("new Pcscd()", "await readers()");
  expect(onCard).not.toBe(program);
  const file = folder.file(
    "program.mts",
    `import { MemoryReaders } from "cryptoki/pcsc";
     import { loadCard } from "cryptoki/virtual";
     const pin = Buffer.from("123456"), data = Buffer.from("a letter");
     async function readers() {
       const readers = new MemoryReaders();
       readers.plug("Reader");
       readers.insert("Reader", await loadCard(${JSON.stringify(folder.card)}));
       return readers.client();
     }
     ${onCard}
     console.log(Buffer.from(signature).toString("base64"));`,
  );
  const cwd = new URL("../..", import.meta.url).pathname;
  const tsx = import.meta.resolve("tsx");
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", tsx, file], { cwd, timeout: 30_000 });
  const { bytes } = await cryptoki(["--virtual", folder.card, "read", "--id", "01", "--format", "der"]);
  const key = createPublicKey(new X509Certificate(bytes).toString());
  expect(verify("sha256", Buffer.from("a letter"), key, Buffer.from(stdout, "base64"))).toBe(true);
}, 60_000);

test("the first program signs, as JavaScript in ten lines", async () => {
  const [, program = ""] = /## Sign in a program\n\n```js\n(.*?)```/su.exec(README) ?? [];
  expect(
    program
      .trim()
      .split("\n")
      .filter((line) => line !== ""),
  ).toHaveLength(9);
  await saveCard(await VirtualPivCard.create(), folder.card);
  const onCard = program
    .replace("openTokens({", `openTokens({ cards: [await loadCard(${JSON.stringify(folder.card)})],`)
    .replace("letter.txt", folder.file("letter.txt", "a letter"))
    .replace(/console\.log\((.*)\);/u, 'console.log(Buffer.from($1).toString("base64"));');
  const file = folder.file(
    "first.mjs",
    `import { loadCard } from "cryptoki/virtual";
     const askForPin = () => "123456";
     ${onCard}`,
  );
  const cwd = new URL("../..", import.meta.url).pathname;
  const args = ["--import", import.meta.resolve("tsx"), file];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd, timeout: 30_000 });
  const { bytes } = await cryptoki(["--virtual", folder.card, "read", "--id", "01", "--format", "der"]);
  const key = createPublicKey(new X509Certificate(bytes).toString());
  expect(verify("sha256", Buffer.from("a letter"), key, Buffer.from(stdout, "base64"))).toBe(true);
}, 60_000);

/** The arguments of a command that it shows. */
function wordsOf(line: string): string[] {
  return line
    .replace(/^npx cryptoki /u, "")
    .replace(/ +#.*$/u, "")
    .replace(/ > .*$/u, "")
    .replaceAll("'", "")
    .split(/ +/u);
}

test("the commands that it shows for a card with two PINs do what it says", async () => {
  const [, commands = ""] = /## A card with two PINs\n.*?```sh\n(.*?)```/su.exec(README) ?? [];
  const letter = folder.file("letter.txt", "a letter");
  const card = folder.file("two.json");
  const env = { CRYPTOKI_PUK: "87654321", CRYPTOKI_NEW_PIN: "314159" };
  const pins = ["", "654321", "123456", ""];
  const lines = commands.trim().split("\n");
  expect(lines).toHaveLength(pins.length);
  for (const [index, line] of lines.entries()) {
    const words = wordsOf(line).map((word) => word.replace("card.json", card).replace("letter.txt", letter));
    const outcome = await cryptoki(words, { env: { ...env, CRYPTOKI_PIN: pins[index] } });
    expect({ line, code: outcome.code, stderr: outcome.stderr }).toEqual({ line, code: 0, stderr: "" });
  }
}, 60_000);

test("the commands that it shows for documents and age do what it says", async () => {
  const [, commands = ""] = /## Documents, ssh, git and age\n.*?```sh\n(.*?)```/su.exec(README) ?? [];
  await saveCard(await VirtualPivCard.create(), folder.card);
  folder.file("letter.txt", "a letter");
  const lines = commands.split("\n").filter((line) => line.startsWith("npx cryptoki "));
  expect(lines).toHaveLength(3);
  const outputs: string[] = [];
  for (const line of lines) {
    const words = wordsOf(line).map((word) => (word.startsWith("letter.") ? folder.file(word) : word));
    const outcome = await cryptoki(["--virtual", folder.card, ...words], { env: { CRYPTOKI_PIN: "123456" } });
    expect({ line, code: outcome.code }).toEqual({ line, code: 0 });
    outputs.push(outcome.stdout);
  }
  expect(outputs[1]).toMatch(/^Valid: cms\n/u);
  expect(outputs[2]).toMatch(/^age1cryptoki1/mu);
}, 60_000);
