import { expect, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** Runs an example as a reader of it would: in a process of its own, on the virtual card. */
async function example(name: string, ...args: string[]): Promise<string> {
  const file = new URL(`../../examples/${name}.ts`, import.meta.url).pathname;
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", file, ...args], {
    timeout: 30_000,
  });
  return stdout;
}

test("sign.ts signs, and the signature is valid", async () => {
  expect(await example("sign")).toBe("signature: 256 bytes\nvalid: true\n");
}, 30_000);

test("list-certificates.ts names the four certificates of a PIV card", async () => {
  const lines = (await example("list-certificates")).trimEnd().split("\n");
  expect(lines).toHaveLength(5);
  expect(lines[0]).toMatch(/^PIV /u);
}, 30_000);

test("watch-readers.ts tells what is there, and ends", async () => {
  expect(await example("watch-readers", "--seconds", "0.1")).toBe("Virtual Reader: card\n");
}, 30_000);

test("raw-apdu.ts counts the tries", async () => {
  const output = await example("raw-apdu");
  expect(output).toMatch(/^> SELECT.*PIV/u);
  expect(output).toMatch(/tries left: 3\n$/u);
}, 30_000);

test("decrypt.ts decrypts", async () => {
  expect(await example("decrypt")).toBe("meet me at noon\n");
}, 30_000);

test("certificate-request.ts makes a request, and it is valid", async () => {
  const output = await example("certificate-request");
  expect(output).toMatch(
    /^-----BEGIN CERTIFICATE REQUEST-----\n[^]*-----END CERTIFICATE REQUEST-----\nvalid: true\n$/u,
  );
}, 30_000);

test("with --pcscd no PIN is made up for a real card", async () => {
  const file = new URL("../../examples/cards.ts", import.meta.url).href;
  const program = `const { readPin } = await import(${JSON.stringify(file)}); readPin();`;
  const args = ["--import", "tsx", "--input-type=module", "--eval", program, "--", "--pcscd"];
  const env = { ...process.env, CRYPTOKI_PIN: undefined };
  await expect(promisify(execFile)(process.execPath, args, { env, timeout: 30_000 })).rejects.toMatchObject({
    stderr: expect.stringContaining("the card's PIN is missing: set CRYPTOKI_PIN"),
  });
}, 30_000);
