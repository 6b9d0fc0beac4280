/** Cards that begin empty, by turns in the hands of the command and of OpenSC's programs: what one writes the other reads, uses and removes. */
import { createPublicKey, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { createBlankCard, type VirtualCard, VirtualSmartCardHsm } from "../../../src/virtual/index.ts";
import { CACHE, MAIN } from "../../cli/built.ts";
import { requirePrograms } from "../rig/require.ts";
import { run, type RunResult } from "../rig/run.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

const PIN = "246802";

interface Make {
  readonly name: string;
  readonly card: () => VirtualCard | Promise<VirtualCard>;
  readonly officer: string;
  /** How OpenSC's programs make a token on an empty card; theirs has the same SO PIN and PIN. */
  readonly theirs: readonly (readonly [string, ...string[]])[];
  /** The identifier of the PIN on a card of theirs. */
  readonly theirPin: string;
  /** Takes keys from a file. */
  readonly imports: boolean;
}

const MAKES: readonly Make[] = [
  {
    name: "MyEID",
    card: () => createBlankCard("myeid"),
    officer: "87654321",
    theirs: [
      ["pkcs15-init", "--create-pkcs15", "--so-pin", "87654321", "--so-puk", "11112222", "--label", "Theirs"],
      [
        "pkcs15-init",
        ...[
          "--store-pin",
          "--auth-id",
          "01",
          "--pin",
          PIN,
          "--puk",
          "22223333",
          "--label",
          "User",
          "--so-pin",
          "87654321",
        ],
      ],
      ["pkcs15-init", "--finalize"],
    ],
    theirPin: "01",
    imports: true,
  },
  {
    name: "IsoApplet",
    card: () => createBlankCard("iso-applet"),
    officer: "1234567890123456",
    theirs: [["pkcs15-init", "--create-pkcs15", "--so-pin", PIN, "--so-puk", "1234567890123456", "--label", "Theirs"]],
    theirPin: "FF",
    imports: true,
  },
  {
    name: "SmartCard-HSM",
    card: () => VirtualSmartCardHsm.create(),
    officer: "3537363231383830",
    theirs: [["sc-hsm-tool", "--initialize", "--so-pin", "3537363231383830", "--pin", PIN, "--label", "Theirs"]],
    theirPin: "01",
    imports: false,
  },
];

describe.each(MAKES)("an empty $name", ({ name, card: create, officer, theirs, theirPin, imports }) => {
  let card: PluggedIn;
  let folder: string;
  const file = (base: string): string => path.join(folder, base);
  const secrets = { CRYPTOKI_PIN: PIN, CRYPTOKI_KEY_PASSWORD: "secret", XDG_CACHE_HOME: CACHE };

  const command = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<RunResult> =>
    run(process.execPath, [MAIN, ...args], { env: { ...card.env, ...secrets, ...env } });
  async function ours(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
    const { code, stdout, stderr } = await command(args, env);
    if (code !== 0) throw new Error(`cryptoki ${args.join(" ")} ended with ${String(code)}:\n${stderr}`);
    return stdout;
  }
  const openssl = (...args: string[]): Promise<string> => card.succeed("openssl", ...args);

  /** The authority's certificate for a request of the command. */
  async function certify(id: string, subject: string): Promise<void> {
    const request = ["certificate", "request", "--id", id, "--subject", subject];
    await ours([...request, "--force", "--output", file("request.pem")]);
    const ca = ["-CA", file("ca.pem"), "-CAkey", file("ca.key"), "-CAcreateserial"];
    await openssl("x509", "-req", "-in", file("request.pem"), ...ca, "-days", "30", "-out", file(`${id}.pem`));
    await ours(["certificate", "import", "--id", id, file(`${id}.pem`)]);
  }

  async function expectSignature(id: string, how: "ours" | "theirs"): Promise<void> {
    const rsa = ["-m", "SHA256-RSA-PKCS", "-i", file("letter")];
    const login = ["--login", "--pin", PIN, "--sign", "--id", id, "-o", file("letter.sig")];
    if (how === "ours") await ours(["sign", "--id", id, "--force", "--output", file("letter.sig"), file("letter")]);
    else await card.succeed("pkcs11-tool", ...login, ...rsa);
    await writeFile(file("key.pem"), await card.succeed("pkcs15-tool", "--read-public-key", id));
    const verify = ["dgst", "-sha256", "-verify", file("key.pem"), "-signature", file("letter.sig"), file("letter")];
    expect(await openssl(...verify)).toBe("Verified OK\n");
  }

  beforeAll(async () => {
    requirePrograms("pkcs15-init", "pkcs15-tool", "pkcs11-tool", "sc-hsm-tool", "openssl");
    folder = await mkdtemp(path.join(os.tmpdir(), "initialised-cards-"));
    card = await plugIn(await create(), "Virtual PCD");
    await writeFile(file("letter"), "a letter");
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=CA"];
    await openssl("req", "-x509", ...key, "-keyout", file("ca.key"), "-out", file("ca.pem"));
  });
  afterAll(async () => {
    await card[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  test("is put into service by the command, and used by OpenSC's programs", async () => {
    const init = ["token", "init", "--label", "Ours", "--new-pin-source", "env:CRYPTOKI_PIN", "--yes"];
    await ours(init, { CRYPTOKI_SO_PIN: officer });
    await ours(["key", "generate", "--id", "21", "--type", "rsa2048", "--label", "made"]);
    await certify("21", "CN=Ada");
    const dump = await card.succeed("pkcs15-tool", "--dump");
    expect(dump).toMatch(/PKCS#15 Card \[Ours\][^]*Private RSA Key \[made\]/u);
    const read = new X509Certificate(await card.succeed("pkcs15-tool", "--read-certificate", "21"));
    expect(read.fingerprint256).toBe(new X509Certificate(await readFile(file("21.pem"))).fingerprint256);
    await expectSignature("21", "theirs");
    if (imports) {
      const self = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Brought"];
      await openssl(...self, "-keyout", file("brought.key"), "-out", file("brought.pem"));
      const both = ["-inkey", file("brought.key"), "-in", file("brought.pem"), "-passout", "pass:secret"];
      await openssl("pkcs12", "-export", ...both, "-out", file("brought.p12"));
      await ours(["key", "import", "--id", "22", "--label", "brought", file("brought.p12")]);
      await expectSignature("22", "theirs");
      const init = ["--store-private-key", file("brought.key"), "--id", "23", "--label", "brought by them"];
      await card.succeed("pkcs15-init", ...init, "--auth-id", "01", "--verify-pin", "--pin", PIN);
      await expectSignature("23", "ours");
    } else {
      const refused = await command(["key", "import", "--id", "22", file("ca.key")]);
      expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("only encrypted with its DKEK") });
    }
    const backup = JSON.parse(await ours(["card", "backup", file("backup.json"), "--json"])) as object;
    expect(backup).toMatchObject({ keys: 0, certificates: imports ? 2 : 1 });
  });

  test("is emptied by the command, and OpenSC's programs find it so", async () => {
    if (name === "SmartCard-HSM") {
      const init = ["token", "init", "--label", "Empty", "--new-pin-source", "env:CRYPTOKI_PIN", "--yes"];
      await ours(init, { CRYPTOKI_SO_PIN: officer });
      expect(await card.succeed("pkcs15-tool", "--list-keys")).not.toMatch(/Private/u);
      return;
    }
    await ours(["token", "reset", "--yes"], { CRYPTOKI_PIN: name === "MyEID" ? officer : PIN });
    expect((await card.run("pkcs15-tool", "--dump")).code).not.toBe(0);
  });

  test("made by OpenSC's programs, is read, used, certified and emptied by the command", async () => {
    if (name === "IsoApplet") {
      // The applet keeps its PIN, and pkcs15-init sets a first one only: a new card takes its place.
      await card[Symbol.asyncDispose]();
      card = await plugIn(await create(), "Virtual PCD");
    }
    for (const [program, ...step] of theirs) await card.succeed(program, ...step);
    expect(JSON.parse(await ours(["tokens", "--json"]))).toMatchObject([{ label: expect.stringContaining("Theirs") }]);
    if (name === "SmartCard-HSM") {
      const pair = ["--keypairgen", "--key-type", "rsa:2048", "--id", "41", "--label", "theirs"];
      await card.succeed("pkcs11-tool", "--login", "--pin", PIN, ...pair);
    } else {
      const key = [
        "--generate-key",
        "rsa:2048",
        "--id",
        "41",
        "--label",
        "theirs",
        "--auth-id",
        theirPin,
        "--pin",
        PIN,
      ];
      await card.succeed("pkcs15-init", ...key, ...(name === "MyEID" ? ["--so-pin", officer] : []));
    }
    await expectSignature("41", "ours");
    await certify("41", "CN=Grace");
    const theirRead = new X509Certificate(await card.succeed("pkcs15-tool", "--read-certificate", "41"));
    expect(theirRead.publicKey.equals(createPublicKey(await readFile(file("key.pem"))))).toBe(true);
    expect(await ours(["self-test"])).toMatch(/41/u);
    if (name === "SmartCard-HSM") {
      await ours(["token", "init", "--label", "Ours again", "--yes"], { CRYPTOKI_SO_PIN: officer });
    } else await ours(["token", "reset", "--yes"], { CRYPTOKI_PIN: name === "MyEID" ? officer : PIN });
    expect((await command(["certificate", "list"])).code).toBe(3);
  });
});
