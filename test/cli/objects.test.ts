import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createHash, X509Certificate } from "node:crypto";
import { writeFileSync } from "node:fs";
import { CardFolder, OFFICER, PIN } from "./card.ts";
import { cryptoki, json, type Outcome } from "./program.ts";

let folder: CardFolder;
beforeAll(async () => {
  folder = await CardFolder.create({ keys: { "9a": "rsa-2048", "9c": "p-256", "9d": "rsa-2048", "9e": null } });
});
afterAll(() => {
  folder[Symbol.dispose]();
});

const onCard = (args: readonly string[], given: Parameters<typeof cryptoki>[1] = {}): Promise<Outcome> =>
  cryptoki(["--virtual", folder.card, ...args], given);

async function certificate(): Promise<X509Certificate> {
  return new X509Certificate((await onCard(["read", "--id", "01", "--format", "der"])).bytes);
}

describe("objects", () => {
  test("shows keys and certificates with their expiry", async () => {
    const { stdout } = await onCard(["objects"]);
    const day = new Date((await certificate()).validTo).toISOString().slice(0, 10);
    expect(stdout).toMatch(/^ID +TYPE +KEY +LABEL +EXPIRES +ABOUT$/mu);
    expect(stdout).toMatch(
      new RegExp(`^01 +certificate +RSA-2048 +Certificate for PIV Authentication +${day} +CN=`, "mu"),
    );
    expect(stdout).not.toMatch(/data/u);
    const listed = json(await onCard(["objects", "--json"])) as { type: string; notAfter?: string }[];
    expect(new Set(listed.map(({ type }) => type))).toEqual(new Set(["cert", "public"]));
    expect(listed.find(({ type }) => type === "cert")?.notAfter).toMatch(new RegExp(`^${day}T`, "u"));
  });

  test("and the rest with --all, or by its type", async () => {
    const all = json(await onCard(["objects", "--all", "--json"])) as { type: string; label: string }[];
    const data = json(await onCard(["objects", "--type", "data", "--json"])) as { label: string }[];
    expect(data.length).toBeGreaterThan(1);
    const labels = all.filter(({ type }) => type === "data").map(({ label }) => label);
    expect(labels.sort()).toEqual(data.map(({ label }) => label).sort());
    expect(all.filter(({ type }) => type === "cert")).toHaveLength(3);
  });
});

describe("read --format text", () => {
  test("shows the extended key usage, UPN and FASC-N in words, and the fingerprints of the key", async () => {
    const { stdout } = await onCard(["read", "--id", "01", "--format", "text"]);
    const key = (await certificate()).publicKey.export({ format: "der", type: "spki" });
    expect(stdout).toContain(`key SHA-256  `.trim());
    expect(stdout).toContain(createHash("sha256").update(key).digest("hex"));
    expect(stdout).toMatch(/^SSH fingerprint +SHA256:[A-Za-z0-9+/]{43}$/mu);
    expect(stdout).toMatch(/^FASC-N +agency 9999, system 9999, credential \d{6}$/mu);
  });

  test("shows a UPN as the name that it is", async () => {
    const file = folder.file("upn.json");
    await cryptoki(["virtual", "create", file, "--yubico", "--empty"]);
    const on = (args: readonly string[]): Promise<Outcome> =>
      cryptoki(["--virtual", file, ...args], { env: { ...PIN.env, ...OFFICER.env } });
    await on(["key", "generate", "--so", "--reference", "9a"]);
    const names = ["--san", "upn:ada@example.org", "--san", "email:ada@example.net", "--for", "smart-card-logon"];
    await on(["certificate", "self-sign", "--so", "--reference", "9a", "--subject", "CN=Ada", ...names]);
    const { stdout } = await on(["read", "--id", "01", "--format", "text"]);
    expect(stdout).toMatch(/^UPN +ada@example\.org$/mu);
    expect(stdout).toMatch(/^extended key usage +.*smart/imu);
    const read = json(await on(["read", "--id", "01", "--json"])) as { certificate: object };
    expect(read.certificate).toMatchObject({ upn: ["ada@example.org"], fascn: [] });
  });

  test("of a public key the fingerprints too", async () => {
    const { stdout } = await onCard(["read", "--type", "public", "--id", "02", "--format", "text"]);
    expect(stdout).toMatch(/^key +P-256\nkey SHA-256 +[0-9a-f]{64}\nSSH fingerprint +SHA256:/u);
  });
});

describe("a terminal gets no binary data", () => {
  test.each([[["read", "--id", "01", "--format", "der"]], [["sign", "--id", "01", "--encoding", "binary"]]])(
    "%j is refused there, and works for a pipe",
    async (args) => {
      const refused = await onCard(args, { ...PIN, stdin: "a", terminal: true });
      expect(refused).toMatchObject({ code: 2, stdout: "" });
      expect(refused.stderr).toContain("binary data is not written to a terminal");
      expect((await onCard(args, { ...PIN, stdin: "a" })).bytes.length).toBeGreaterThan(100);
    },
  );

  test("a plaintext is shown if it is text, in base64 if not", async () => {
    const { publicEncrypt, constants } = await import("node:crypto");
    const key = new X509Certificate((await onCard(["read", "--id", "03", "--format", "der"])).bytes).publicKey;
    for (const [plaintext, shown] of [
      ["Grüße\n", "Grüße\n"],
      ["\u001b[2J", `${Buffer.from("\u001b[2J").toString("base64")}\n`],
      [Buffer.from("fffe", "hex"), "//4=\n"],
    ] as const) {
      const secret = folder.file("secret");
      writeFileSync(secret, publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, Buffer.from(plaintext)));
      expect((await onCard(["decrypt", "--id", "03", secret], { ...PIN, terminal: true })).stdout).toBe(shown);
      expect((await onCard(["decrypt", "--id", "03", secret], PIN)).bytes).toEqual(Buffer.from(plaintext));
    }
  });
});

describe("options that do not apply are errors", () => {
  test.each([
    [["read", "--type", "data", "--label", "CHUID", "--format", "text"], /--format is for certificates and keys/u],
    [["sign", "--id", "01", "--format", "raw"], /--format is for ECDSA signatures/u],
  ])("%j", async (args, message) => {
    const { code, stderr } = await onCard(args, { ...PIN, stdin: "a" });
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
  });

  test.each([
    [["virtual", "piv", "--file", "card.json", "--yubico"], /--file.*--yubico/u],
    [["virtual", "pkcs15", "--file", "card.json", "--name", "Ada"], /--file.*--name/u],
    [["--virtual", "serve", "--print-module-config", "--socket", "/run/x"], /--virtual/u],
    [["--server", "unix:path=/x", "tokens", "--record", "file"], /--record.*--server/u],
    [["--server", "unix:path=/x", "tokens", "--transport", "addon"], /--transport.*--server/u],
  ])("%j", async (args, message) => {
    const { code, stderr } = await cryptoki(args);
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
  });

  test("a hint is given for a signature in base64, in hexadecimal, and with another hash", async () => {
    const letter = folder.file("letter", "a letter");
    for (const [encoding, message] of [
      ["base64", "its file holds base64: try --encoding base64"],
      ["hex", "its file holds hexadecimal digits: try --encoding hex"],
      ["binary", "name it with --hash or --mechanism"],
    ] as const) {
      const signature = folder.file(`${encoding}.sig`);
      const hash = encoding === "binary" ? ["--hash", "sha512"] : [];
      await onCard(["sign", "--id", "01", "--encoding", encoding, ...hash, "--output", signature, letter], PIN);
      const refused = await onCard(["verify", "--id", "01", "--signature", signature, letter]);
      expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining(message) });
      const right = [...(encoding === "binary" ? hash : ["--encoding", encoding]), "--signature", signature, letter];
      expect((await onCard(["verify", "--id", "01", ...right])).code).toBe(0);
    }
  });
});
