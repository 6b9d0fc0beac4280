import { describe, expect, test } from "@jest/globals";
import { linkSync, readFileSync, renameSync, symlinkSync } from "node:fs";
import { CardFolder, PIN } from "./card.ts";
import { cryptoki, jsonError } from "./program.ts";

describe("a file that the command works with is not written over", () => {
  test("the card's own file, under any name", async () => {
    using folder = await CardFolder.create({ keys: { "9a": "p-256", "9c": null, "9d": null, "9e": null } });
    const before = readFileSync(folder.card, "utf8");
    const symbolic = folder.file("symbolic");
    const hard = folder.file("hard");
    symlinkSync(folder.card, symbolic);
    linkSync(folder.card, hard);
    for (const name of [folder.card, symbolic, hard]) {
      for (const option of ["--record", "--output"]) {
        const outcome = await cryptoki(["--virtual", folder.card, "read", "--id", "01", option, name, "--json"], PIN);
        expect(outcome.code).toBe(2);
        const message = `${option} ${name} would overwrite ${folder.card}`;
        expect(jsonError(outcome)).toMatchObject({ name: "UsageError", message: expect.stringContaining(message) });
        expect(readFileSync(folder.card, "utf8")).toBe(before);
      }
    }
  });

  test("an input, a PIN file, and the other output", async () => {
    using folder = await CardFolder.create({ keys: { "9a": "p-256", "9c": null, "9d": null, "9e": null } });
    const letter = folder.file("letter", "a letter");
    const pin = folder.file("pin", "123456\n");
    const output = folder.file("output");
    const sign = ["--virtual", folder.card, "sign", "--id", "01", letter];
    const uri = `pkcs11:model=PIV?pin-source=file:${pin}`;
    for (const [args, option, file] of [
      [[...sign, "--record", letter], "--record", letter],
      [[...sign, "--record", pin, "--pin-source", `file:${pin}`], "--record", pin],
      [[...sign, "--output", pin, "--pin-source", `file:${pin}`], "--output", pin],
      [[...sign, uri, "--record", pin], "--record", pin],
      [[...sign, "--token", uri, "--output", pin], "--output", pin],
      [[...sign, "--output", output, "--record", output], "--record", output],
    ] as const) {
      const outcome = await cryptoki([...args, "--json"], PIN);
      expect(jsonError(outcome)).toMatchObject({
        name: "UsageError",
        message: expect.stringContaining(`${option} ${file} would overwrite ${file}`),
      });
    }
    expect([readFileSync(letter, "utf8"), readFileSync(pin, "utf8")]).toEqual(["a letter", "123456\n"]);
  });

  test("an input is no output, even with --force; nor is a file that exists, without it", async () => {
    using folder = await CardFolder.create({ keys: { "9a": "p-256", "9c": null, "9d": null, "9e": null } });
    const letter = folder.file("letter", "a letter");
    const old = folder.file("old", "an old signature");
    const sign = ["--virtual", folder.card, "sign", "--id", "01", letter];
    for (const [args, message] of [
      [[...sign, "--output", letter, "--force"], `--output ${letter} would overwrite ${letter}`],
      [[...sign, "--output", folder.card, "--force"], `--output ${folder.card} would overwrite ${folder.card}`],
      [[...sign, "--output", old], `${old} exists already; add --force to write over it`],
    ] as const) {
      const outcome = await cryptoki([...args, "--json"], PIN);
      expect(jsonError(outcome)).toMatchObject({ exitCode: 2, message: expect.stringContaining(message) });
    }
    expect(readFileSync(old, "utf8")).toBe("an old signature");
    expect(await cryptoki([...sign, "--output", old, "--force"], PIN)).toMatchObject({ code: 0, stderr: "" });
    expect(readFileSync(old, "utf8")).not.toContain("an old signature");
    expect((await cryptoki([...sign, "--output", "/dev/null"], PIN)).code).toBe(0);
  });

  test("a virtual card is made over a file with --force only", async () => {
    using folder = new CardFolder();
    const file = folder.file("card.json", "{}");
    const create = ["virtual", "create", file, "--key", "9a=p-256", "--key", "9c=none", "--key", "9d=none"];
    expect(await cryptoki(create)).toMatchObject({ code: 1, stderr: expect.stringContaining("--force") });
    expect(readFileSync(file, "utf8")).toBe("{}");
    expect(await cryptoki([...create, "--force"])).toMatchObject({ code: 0 });
    expect((await cryptoki(["--virtual", file, "tokens"])).code).toBe(0);
  });

  test("other files are", async () => {
    using folder = await CardFolder.create({ keys: { "9a": "p-256", "9c": null, "9d": null, "9e": null } });
    const letter = folder.file("letter", "a letter");
    const record = folder.file("record", "an old recording");
    const outcome = await cryptoki(
      ["--virtual", folder.card, "sign", "--id", "01", letter, "--output", folder.file("new"), "--record", record],
      PIN,
    );
    expect(outcome).toMatchObject({ code: 0, stderr: "" });
    expect(readFileSync(record, "utf8")).toMatch(/cryptoki sign/u);
    expect((await cryptoki(["--virtual", "apdu", "send", "00A40000", "--record", "/dev/null"])).code).toBe(0);
  });
});

test("a card's file that cannot be written is named, and the card refuses the change", async () => {
  using folder = await CardFolder.create({ keys: { "9a": "p-256", "9c": null, "9d": null, "9e": null } });
  // A name so long that the temporary file beside it cannot be made.
  const name = folder.file("x".repeat(240));
  renameSync(folder.card, name);
  const refused = await cryptoki(["--virtual", name, "sign", "--id", "01"], {
    env: { CRYPTOKI_PIN: "000000" },
    stdin: "a",
  });
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain(`warning: the card cannot keep a change: cannot write ${name}: ENAMETOOLONG`);
  expect((await cryptoki(["--virtual", name, "tokens"])).code).toBe(0);
});
