import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A folder in which openssl has a certification authority and a time-stamping authority. */
export class Authority implements AsyncDisposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(): Promise<Authority> {
    const authority = new Authority(await mkdtemp(path.join(os.tmpdir(), "authority-")));
    await authority.#selfSigned("ca", ["-addext", "basicConstraints=critical,CA:TRUE"]);
    const purpose = ["-addext", "extendedKeyUsage=critical,timeStamping", "-addext", "basicConstraints=CA:FALSE"];
    await authority.#selfSigned("tsa", purpose);
    await writeFile(authority.file("serial"), "01\n");
    await writeFile(authority.file("tsa.cnf"), configuration(authority.folder));
    return authority;
  }

  file(name: string): string {
    return path.join(this.folder, name);
  }

  async write(name: string, content: string | Uint8Array): Promise<string> {
    await writeFile(this.file(name), content);
    return this.file(name);
  }

  async openssl(...args: readonly string[]): Promise<string> {
    return (await run("openssl", args, { cwd: this.folder })).stdout;
  }

  #selfSigned(name: string, more: readonly string[]): Promise<string> {
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", `${name}.key`];
    return this.openssl("req", "-x509", ...key, "-out", `${name}.pem`, "-days", "2", "-subj", `/CN=${name}`, ...more);
  }

  /** The answer of the time-stamping authority. */
  readonly timestamp = async (request: Uint8Array): Promise<Uint8Array> => {
    await this.write("request.tsq", request);
    await this.openssl("ts", "-reply", "-config", "tsa.cnf", "-queryfile", "request.tsq", "-out", "answer.tsr");
    return new Uint8Array(await readFile(this.file("answer.tsr")));
  };

  /** A certificate for a key of a card. @param extensions Lines of OpenSSL's extensions. @returns PEM. */
  async issue(
    publicKey: string,
    subject: string,
    extensions: readonly string[],
    days: readonly string[] = ["-days", "2"],
  ): Promise<string> {
    await this.write("subject.pub", publicKey);
    await this.write("extensions.cnf", `[ext]\n${extensions.join("\n")}\n`);
    await this.openssl("req", "-new", "-key", "ca.key", "-subj", `/CN=${subject}`, "-out", "any.csr");
    const signing = [
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-extfile",
      "extensions.cnf",
      "-extensions",
      "ext",
    ];
    await this.openssl(
      "x509",
      "-req",
      "-in",
      "any.csr",
      "-force_pubkey",
      "subject.pub",
      ...signing,
      ...days,
      "-out",
      "issued.pem",
    );
    return readFile(this.file("issued.pem"), "utf8");
  }

  ca(): Promise<string> {
    return readFile(this.file("ca.pem"), "utf8");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }
}

const configuration = (folder: string): string => `[tsa]
default_tsa = one
[one]
dir = ${folder}
serial = $dir/serial
crypto_device = builtin
signer_cert = $dir/tsa.pem
signer_key = $dir/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
ess_cert_id_chain = no
ess_cert_id_alg = sha256
`;
