import { describe, expect, test } from "@jest/globals";
import { linkSync, readFileSync, symlinkSync } from "node:fs";
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

  test("other files are", async () => {
    using folder = await CardFolder.create({ keys: { "9a": "p-256", "9c": null, "9d": null, "9e": null } });
    const letter = folder.file("letter", "a letter");
    const record = folder.file("record", "an old recording");
    const outcome = await cryptoki(
      ["--virtual", folder.card, "sign", "--id", "01", letter, "--output", letter, "--record", record],
      PIN,
    );
    expect(outcome).toMatchObject({ code: 0, stderr: "" });
    expect(readFileSync(record, "utf8")).toMatch(/cryptoki sign/u);
    expect((await cryptoki(["--virtual", "apdu", "send", "00A40000", "--record", "/dev/null"])).code).toBe(0);
  });
});
