import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { plugIntoVpcd } from "../../../src/virtual/index.ts";
import { pivCard, testKey } from "../../virtual/keys.ts";
import { type Pcscd, startPcscd } from "../rig/pcscd.ts";
import { requirePrograms } from "../rig/require.ts";
import { run } from "../rig/run.ts";
import { SshWorkplace } from "./workplace.ts";

let daemon: Pcscd;
let plug: AsyncDisposable;
let place: SshWorkplace;

interface Listed {
  readonly reference: string;
  readonly identity: string;
  readonly recipient: string;
}
let keys: readonly Listed[];

beforeAll(async () => {
  requirePrograms("age", "script");
  const card = await pivCard({
    yubico: true,
    extended: true,
    keys: {
      "9a": { privateKey: testKey("p-384", "9a") },
      "9c": null,
      "9d": { privateKey: testKey("p-256", "9d") },
      "9e": null,
      "82": { privateKey: testKey("rsa-2048", "9d") },
      "83": { privateKey: testKey("x25519", "83") },
    },
  });
  daemon = await startPcscd({ friendlyName: "Age" });
  plug = await plugIntoVpcd(card, { port: daemon.port });
  place = new SshWorkplace(daemon.env, "123456");
  for (let tries = 0; tries < 500 && (await place.run("cryptoki", "age", "identity")).code !== 0;) tries++;
  keys = JSON.parse(await place.succeed("cryptoki", "age", "identity", "--json")) as Listed[];
  place.file("letter", "a letter\n");
}, 1_000_000);

afterAll(async () => {
  await place[Symbol.asyncDispose]();
  await plug[Symbol.asyncDispose]();
  await daemon[Symbol.asyncDispose]();
}, 60_000);

/** `age -d`, which asks for the PIN on a terminal of its own. */
async function decrypt(
  identity: string,
  pin: string,
): Promise<{ readonly code: number | null; readonly output: string }> {
  const command = `age -d -i ${place.file(identity)} -o ${place.file("plain")} ${place.file("letter.age")}`;
  const script = `(while ! grep -qs "PIN of" typed; do :; done; echo ${pin}) | script -qefc '${command}' typed`;
  const { code, stdout } = await place.shell(`rm -f typed plain; ${script}`);
  return { code, output: stdout };
}

test("the keys that decrypt are listed, for people and as files that age reads", async () => {
  expect(keys.map(({ reference }) => reference).sort()).toEqual(["82", "83", "9d"]);
  const recipients = await place.succeed("cryptoki", "age", "recipient");
  expect(recipients).toMatch(/^# Card: {6}PIV/u);
  for (const { recipient } of keys) expect(recipients).toContain(`${recipient}\n`);
  expect(await place.succeed("age-plugin-cryptoki")).toBe(await place.succeed("cryptoki", "age", "identity"));
});

test.each(["9d", "82", "83"])(
  "age encrypts for key %s without the card's PIN, and decrypts with it",
  async (reference) => {
    const key = keys.find((each) => each.reference === reference);
    place.file("identity", `${key?.identity ?? ""}\n`);
    await place.succeed("age", "-r", key?.recipient ?? "", "-o", place.file("letter.age"), place.file("letter"));
    const { code, output } = await decrypt("identity", "123456");
    expect([code, output]).toEqual([0, expect.stringContaining("PIN of PIV")]);
    expect(place.read("plain")).toBe("a letter\n");
  },
);

test("several recipients and an identity are one file; a wrong PIN says how many tries are left", async () => {
  place.file("recipients", await place.succeed("cryptoki", "age", "recipient"));
  place.file("identity", await place.succeed("cryptoki", "age", "identity"));
  await place.succeed("age", "-R", place.file("recipients"), "-o", place.file("letter.age"), place.file("letter"));
  const wrong = await decrypt("identity", "999999");
  expect(wrong.code).not.toBe(0);
  expect(wrong.output).toMatch(/2 tries left|CKR_PIN_INCORRECT/u);
  expect((await decrypt("identity", "123456")).code).toBe(0);
  expect(place.read("plain")).toBe("a letter\n");
});

test("age encrypts to an identity, and a card that is not in is an error of age's", async () => {
  await place.succeed("age", "-e", "-i", place.file("identity"), "-o", place.file("letter.age"), place.file("letter"));
  await plug[Symbol.asyncDispose]();
  const { code, stderr } = await run("age", ["-d", "-i", place.file("identity"), place.file("letter.age")], {
    env: place.env,
  });
  expect([code, stderr]).toEqual([1, expect.stringMatching(/no card that is in has the key of this identity|NO_/u)]);
});
