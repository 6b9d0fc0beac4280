import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { format } from "prettier";
import { utf8 } from "../../src/bytes/index.ts";
import { planSchema, readPlan } from "../../src/setup/index.ts";

const SCHEMA = new URL("../../docs/card-setup-plan.schema.json", import.meta.url);
const CARD = { plan: 1, card: { kind: "yubikey" } };
const read = (plan: object): unknown => readPlan(utf8(JSON.stringify({ ...CARD, ...plan })));

describe("a plan", () => {
  test("is read with all its fields", () => {
    const plan = {
      ...CARD,
      pin: "random",
      puk: { file: "puk.txt" },
      managementKey: { value: "random", algorithm: "aes-192", protectedByPin: true },
      keys: [{ slot: "9A", algorithm: "p256", certificate: { kind: "request", subject: "CN=Ada" } }],
    };
    expect(read(plan)).toEqual(plan);
  });

  test.each([
    [{ pins: "random" }, "pins: no such field; did you mean pin?"],
    [
      { managementKey: { value: "random", protectedByPIN: true } },
      "managementKey.protectedByPIN: no such field; did you mean protectedByPin?",
    ],
    [{ keys: [{ slot: "9a", algoritm: "p256" }] }, "keys[0].algoritm: no such field; did you mean algorithm?"],
    [
      { keys: [{ slot: "9a", algorithm: "rsa2084" }] },
      "keys[0].algorithm: it is rsa2048, rsa3072, rsa4096, p256, p384, ed25519, x25519; did you mean rsa2048?",
    ],
    [{ zzzzzzzz: 1 }, /^zzzzzzzz: no such field; there are plan, name, card,/u],
    [{ plan: 2 }, "plan: it is 1"],
    [{ card: {} }, "card.kind: it is missing"],
    [{ keys: [{ algorithm: "p256" }] }, "keys[0].slot: it is missing"],
    [{ keys: [{ slot: "9f", algorithm: "p256" }] }, "keys[0].slot: it is 9a, 9c, 9d, 9e, or 82 to 95"],
    [
      {
        keys: [
          { slot: "9a", algorithm: "p256" },
          { slot: "9A", algorithm: "p256" },
        ],
      },
      "keys[1]: another key has this place",
    ],
    [{ keys: [{ slot: "9d", algorithm: "x25519", certificate: { kind: "request", subject: "CN=A" } }] }, "cannot sign"],
    [
      { keys: [{ slot: "9a", algorithm: "p256", certificate: { kind: "request", subject: "CN=A", days: 3 } }] },
      "keys[0].certificate.days",
    ],
    [{ tries: { pin: 5, puk: 5 }, pin: "random" }, "tries: the device sets PIN and PUK"],
    [{ pin: { file: "a", clear: "246802" } }, "pin: give one of random, file and clear"],
    [{ pin: {} }, "pin: give one of random, file and clear"],
    [{ label: "Card" }, "label: a card of the kind yubikey has none"],
    [
      { managementKey: { value: "random", protectedByPin: true }, printedInformation: { name: "Ada" } },
      "managementKey.protectedByPin: the key is kept",
    ],
    [{ managementKey: { value: "default", protectedByPin: true } }, "managementKey.protectedByPin: only a new key"],
    [{ card: { kind: "pkcs15" }, ccc: true }, "ccc: a card of the kind pkcs15 has none"],
    [{ reset: "yes" }, "reset: it is true or false"],
    [{ pin: 123_456 }, "pin: it is an object"],
    [{ pin: "randm" }, "pin: it is random, prompt, keep, default; did you mean random?"],
  ])("is refused with the field's name: %j", (plan, message) => {
    expect(() => read(plan)).toThrow(message);
  });

  test("is refused if it is not JSON", () => {
    expect(() => readPlan(utf8("{"))).toThrow("the plan is not JSON in UTF-8");
    expect(() => readPlan(Uint8Array.of(0xff))).toThrow("the plan is not JSON in UTF-8");
    expect(() => readPlan(utf8("[]"))).toThrow("the plan: it is an object");
  });
});

test("docs/card-setup-plan.schema.json is the schema that is read", async () => {
  const text = await format(JSON.stringify(planSchema), { parser: "json", printWidth: 120 });
  // UPDATE_DOCS=1 writes it.
  if (process.env["UPDATE_DOCS"]) writeFileSync(SCHEMA, text);
  expect(JSON.parse(readFileSync(SCHEMA, "utf8"))).toEqual(JSON.parse(text));
});

interface Schema {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema & { readonly description: string }>>;
}

function valueOf(schema: Schema): string {
  const { type, enum: words, anyOf, minimum, maximum } = schema;
  if (anyOf) return "a secret";
  if (words) return words.map((word) => `\`${word}\``).join(", ");
  if (type === "integer") return minimum === maximum ? String(minimum) : `${minimum} to ${maximum}`;
  if (type === "boolean") return "`true`, `false`";
  return type === "string" ? "text" : type === "array" ? "a list" : "an object";
}

function rowsOf({ properties = {}, required = [] }: Schema, path: string): string[] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const where = `${path}${name}`;
    const need = required.includes(name) ? "yes" : "";
    const row = `| \`${where}\` | ${valueOf(schema)} | ${need} | ${schema.description} |`;
    const below = schema.items ? rowsOf(schema.items, `${where}[].`) : rowsOf(schema, `${where}.`);
    return [row, ...below];
  });
}

const DOCUMENT = new URL("../../docs/card-setup.md", import.meta.url);
const MARKS = /(<!-- BEGIN: from src\/setup\/plan.ts[^>]*-->)[^]*(<!-- END -->)/u;

test("docs/card-setup.md has every field of a plan", async () => {
  const head = "## Fields\n\n| field | value | needed | meaning |\n| --- | --- | --- | --- |";
  const table = [head, ...rowsOf(planSchema, "")].join("\n");
  const before = readFileSync(DOCUMENT, "utf8");
  const text = await format(
    before.replace(MARKS, (_, begin: string, end: string) => `${begin}\n\n${table}\n\n${end}`),
    {
      parser: "markdown",
      printWidth: 120,
    },
  );
  if (process.env["UPDATE_DOCS"]) writeFileSync(DOCUMENT, text);
  expect(readFileSync(DOCUMENT, "utf8")).toBe(text);
});
