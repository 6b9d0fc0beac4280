import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { requirePrograms } from "../rig/require.ts";
import { run } from "../rig/run.ts";

/** A key with its certificate in an NSS database. */
export interface Credential {
  /** The certificate's nickname. */
  readonly name: string;
  /** Distinguished name as certutil takes it: "CN=A Holder,O=Tests". */
  readonly subject: string;
  /** The key usage extension as certutil takes it; default: none. */
  readonly keyUsage?: string;
}

/**
 * Makes an NSS database in `folder` with an RSA-2048 key and a certificate, which it signs itself, for each credential.
 * @returns The certificates, DER.
 */
export async function makeNssDatabase(
  folder: string,
  pin: string,
  credentials: readonly Credential[],
): Promise<readonly Uint8Array[]> {
  requirePrograms("certutil");
  const database = ["-d", `sql:${folder}`, "-f", path.join(folder, "pin")];
  const noise = path.join(folder, "noise");
  await writeFile(path.join(folder, "pin"), pin);
  await writeFile(noise, randomBytes(2048));
  await certutil("-N", ...database);
  const certificates: Uint8Array[] = [];
  for (const [index, { name, subject, keyUsage }] of credentials.entries()) {
    const serial = ["-m", String(index + 1), "-v", "120"];
    const usage = keyUsage === undefined ? [] : ["--keyUsage", keyUsage];
    const key = ["-k", "rsa", "-g", "2048", "-z", noise, "-Z", "SHA256"];
    await certutil("-S", "-x", "-n", name, "-s", subject, "-t", "u,u,u", ...key, ...serial, ...usage, ...database);
    const file = path.join(folder, `${name}.der`);
    await certutil("-L", "-n", name, "-r", "-o", file, ...database);
    certificates.push(new Uint8Array(await readFile(file)));
  }
  return certificates;
}

async function certutil(...args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await run("certutil", args);
  if (code !== 0) throw new Error(`certutil ${args.join(" ")} ended with ${String(code)}:\n${stdout}${stderr}`);
}
