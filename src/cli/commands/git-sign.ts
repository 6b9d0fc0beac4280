import type { Command } from "commander";
import { spawnSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Buffer } from "node:buffer";
import { decodePem, encodePem } from "../../bytes/index.ts";
import { type SigningKey, signCms, verifyCms } from "../../formats/index.ts";
import { openTokens, TokenCertificate, TokenError } from "../../tokens/index.ts";
import { action, type CommandContext } from "../context.ts";
import { chooseDialogs } from "../input/dialogs.ts";
import { PIN, readPin } from "../input/pin.ts";
import { FileError, NotFoundError, UsageError, VerificationFailedError } from "../output/failures.ts";
import { type Environment, visible } from "../output/printer.ts";
import { isPinGiven } from "../session.ts";

/** The options of gpgsm that git gives (git, gpg-interface.c). */
interface GitSignOptions {
  readonly statusFd?: string;
  readonly sign?: true;
  readonly localUser?: string;
  readonly verify?: true;
}

/** As gpgsm has it, and git looks for it. */
const LABEL = "SIGNED MESSAGE";
/** Longest object that git signs, in bytes. */
const MAX_OBJECT = 64 * 1024 * 1024;

export function addGitSign(program: Command, environment: Environment): void {
  const command = program
    .command("git-sign")
    .summary("sign commits and tags for git, with X.509; git calls it")
    .description(
      "What git calls as gpg.x509.program, under the name cryptoki-git-sign: makes and verifies CMS signatures. The key is used through the " +
        "agent of SSH_AUTH_SOCK, if that has it, else on the card itself. user.signingkey is a certificate in PEM, a PKCS #11 URI, an e-mail " +
        "address, or the SHA-256 fingerprint of a certificate.",
    )
    .option("--status-fd <number>", "write what git reads to this descriptor: 1 or 2")
    .option("-s, --sign", "sign standard input")
    .option("-b, --detach-sign", "leave what is signed out of the signature; always so")
    .option("-a, --armor", "write PEM; always so")
    .option("-u, --local-user <key>", "the certificate to sign with")
    .option("--verify", "verify the signature in the first file over the second; -: standard input")
    .argument("[files...]", "for --verify: the signature, and what was signed");
  action<GitSignOptions, [readonly string[]]>(command, environment, async (context, options, files) => {
    const status = statusTo(context, options.statusFd);
    if (options.verify) return verify(context, files, status);
    if (!options.sign) throw new UsageError("git gives --sign or --verify");
    return sign(context, options.localUser ?? "", status);
  });
}

type Status = (line: string) => void;

function statusTo({ environment: { stdout, stderr } }: CommandContext, descriptor: string | undefined): Status {
  if (descriptor === undefined) return () => undefined;
  const stream = { "1": stdout, "2": stderr }[descriptor];
  if (!stream) throw new UsageError("--status-fd is 1 or 2");
  return (line) => void stream.write(`[GNUPG:] ${line}\n`);
}

async function inputBytes({ environment: { stdin } }: CommandContext): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stdin) {
    chunks.push(chunk as Buffer);
    length += (chunk as Buffer).length;
    if (length > MAX_OBJECT) throw new FileError(`standard input has more than ${MAX_OBJECT} bytes`);
  }
  return Buffer.concat(chunks);
}

async function sign(context: CommandContext, name: string, status: Status): Promise<void> {
  const data = await inputBytes(context);
  await using cards = openCards(context);
  const certificate = await findCertificate(cards, name);
  await using agent = await openAgent(context);
  const key = (await agent?.key(certificate.publicKey)) ?? (await cards.key(certificate));
  status("BEGIN_SIGNING");
  const { signal } = context;
  const message = await signCms(key, data, { certificate, chain: cards.chain(certificate), signal });
  context.environment.stdout.write(encodePem(LABEL, message));
  const time = Math.floor(Date.now() / 1000);
  status(
    `SIG_CREATED D ${certificate.publicKey.algorithm.type === "rsa" ? 1 : 19} 8 00 ${time} ${fingerprintOf(certificate)}`,
  );
}

/** The cards, which are opened when they are wanted: a certificate in a file and an agent do without them. */
interface Cards extends AsyncDisposable {
  certificates(): Promise<readonly TokenCertificate[]>;
  byUri(uri: string): Promise<TokenCertificate>;
  key(certificate: TokenCertificate): Promise<SigningKey>;
  chain(certificate: TokenCertificate): readonly TokenCertificate[];
}

function openCards(context: CommandContext): Cards {
  const dialogs = chooseDialogs("auto", context.environment);
  let opened: Awaited<ReturnType<typeof openTokens>> | undefined;
  const source = async (): Promise<Awaited<ReturnType<typeof openTokens>>> =>
    (opened ??= await openTokens({
      cryptoki: await context.cryptoki(),
      pin: async ({ key, token, pinState, signal }) => {
        if (!key) throw new TokenError("NO_PIN_SOURCE", "no PIN is asked for to find a certificate");
        if ((await pinState()).entry === "reader") return null;
        const question = `PIN of ${visible((await token()).label)}`;
        if (isPinGiven(context)) return readPin({ ...PIN, question }, context.environment);
        return dialogs.askPin(question, undefined, signal);
      },
      onTouch: ({ key, done }) => {
        dialogs.notify(`Touch the card to use the key ${key.label}.`, done);
      },
    }));
  const found = new Map<TokenCertificate, () => Promise<SigningKey>>();
  const certificates = async (): Promise<readonly TokenCertificate[]> => {
    for await (const token of (await source()).tokens(context.options.token)) {
      for await (const certificate of token.certificates.find())
        found.set(certificate, () => token.keys.get({ certificate }));
    }
    return [...found.keys()];
  };
  return {
    certificates,
    byUri: async (uri) => {
      for await (const token of (await source()).tokens(uri))
        for await (const certificate of token.certificates.find(uri)) return certificate;
      throw new NotFoundError(`no card that is in has a certificate that ${uri} describes`);
    },
    key: async (certificate) => {
      const known = found.get(certificate);
      if (known) return known();
      for await (const token of (await source()).tokens())
        for await (const key of token.keys.find({ publicKey: certificate.publicKey })) return key;
      throw new NotFoundError(
        "neither the agent nor a card that is in has the key of the certificate; put the card in",
      );
    },
    chain: (certificate) => {
      return [...found.keys()].filter((one) => one !== certificate && one.subject === certificate.issuer);
    },
    [Symbol.asyncDispose]: async () => opened?.close(),
  };
}

/** @throws {NotFoundError}; {@link UsageError} if several fit. */
async function findCertificate(cards: Cards, name: string): Promise<TokenCertificate> {
  if (name.startsWith("pkcs11:")) return cards.byUri(name);
  if (name.includes("/") || name.endsWith(".pem")) return fromFile(name);
  const email = /<([^<>]+)>\s*$/u.exec(name)?.[1] ?? name;
  const wanted = email.replace(/^0x/u, "").replaceAll(":", "").toLowerCase();
  const all = await cards.certificates();
  const fitting = all.filter((one) => {
    const { subjectAltName = "", subject } = new X509Certificate(one.der);
    const names = [...subjectAltName.split(", "), ...subject.split("\n")].map((each) => each.toLowerCase());
    return (
      fingerprintOf(one) === wanted ||
      [`email:${wanted}`, `emailaddress=${wanted}`].includes(names.find((each) => each.endsWith(wanted)) ?? "")
    );
  });
  const [only, ...others] = fitting;
  const candidates = (fitting.length > 0 ? fitting : all).map((one) => `${fingerprintOf(one)}  ${one.subject}`);
  if (only && others.length === 0) return only;
  const advice = "set user.signingkey to one of these fingerprints";
  if (only) throw new UsageError(`${fitting.length} certificates fit ${name}; ${advice}`, { candidates });
  if (all.length === 0) throw new NotFoundError("no card with a certificate is in");
  throw new UsageError(`no certificate on a card fits "${name}"; ${advice}`, { candidates });
}

async function fromFile(file: string): Promise<TokenCertificate> {
  return TokenCertificate.read(
    await readFile(file, "utf8").catch((cause: unknown) => {
      throw new FileError(`the certificate ${file} cannot be read`, { cause });
    }),
  );
}

async function openAgent({ environment: { env } }: CommandContext) {
  const { SshAgentConnection } = await import("../../ssh-agent/index.ts");
  const socket = env["SSH_AUTH_SOCK"];
  // An agent that has ended is as good as none.
  return socket === undefined || socket === "" ? undefined : SshAgentConnection.open(socket).catch(() => undefined);
}

const fingerprintOf = ({ der }: TokenCertificate): string =>
  new X509Certificate(der).fingerprint256.replaceAll(":", "").toLowerCase();

/** The certificates that git's configuration trusts: each value of cryptoki.trusted is a file of PEM. */
async function trustedCertificates(): Promise<readonly string[]> {
  const { stdout } = spawnSync("git", ["config", "--type=path", "--get-all", "cryptoki.trusted"], { encoding: "utf8" });
  const files = stdout.split("\n").filter((line) => line !== "");
  const texts = await Promise.all(
    files.map((file) =>
      readFile(file, "utf8").catch((cause: unknown) => {
        throw new FileError(`${file}, of git's cryptoki.trusted, cannot be read`, { cause });
      }),
    ),
  );
  return texts.flatMap((text) => text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/gu) ?? []);
}

async function verify(context: CommandContext, files: readonly string[], status: Status): Promise<void> {
  const [signatureFile, contentFile] = files;
  if (signatureFile === undefined || contentFile === undefined || files.length > 2)
    throw new UsageError("--verify takes two files: the signature, and what was signed");
  const content = contentFile === "-" ? await inputBytes(context) : await readFile(contentFile);
  status("NEWSIG");
  const failed = (line: string, message: string, cause?: unknown): never => {
    status(line);
    throw new VerificationFailedError(message, { cause });
  };
  const message = decodePem(LABEL, await readFile(signatureFile, "utf8"));
  if (!message) return failed("NODATA 4", "the signature is no CMS message in PEM");
  const { signers } = await verifyCms(message, { content }).catch((cause: unknown) =>
    failed("BADSIG 0000000000000000 -", `the signature is not valid: ${(cause as Error).message}`, cause),
  );
  const [signer, ...others] = signers;
  if (!signer || others.length > 0) return failed("ERRSIG 0000000000000000 0 0 00 0 9", "not one signer");
  const { certificate, signingTime = new Date() } = signer;
  const fingerprint = fingerprintOf(certificate);
  const name = visible(certificate.subject);
  const time = Math.floor(signingTime.getTime() / 1000);
  const trusted = await trustedCertificates();
  const untrusted = `ERRSIG ${fingerprint} 0 0 00 ${time} 9`;
  if (trusted.length === 0) {
    return failed(
      untrusted,
      `signed by ${name}, whom nothing says to trust; name files with certificates: git config --add cryptoki.trusted FILE`,
    );
  }
  await verifyCms(message, { content, trusted, date: signingTime }).catch((cause: unknown) =>
    failed(
      untrusted,
      `signed by ${name}, whose certificate leads to none that is trusted (git config cryptoki.trusted)`,
      cause,
    ),
  );
  const isExpired = certificate.notAfter.getTime() < Date.now();
  if (isExpired)
    return failed(`EXPKEYSIG ${fingerprint} ${name}`, `signed by ${name}, whose certificate has expired since`);
  status(`GOODSIG ${fingerprint} ${name}`);
  status(`VALIDSIG ${fingerprint} ${signingTime.toISOString().slice(0, 10)} ${time} 0 - - - - - ${fingerprint}`);
  status("TRUST_FULLY 0 shell");
  context.remark.line(`Good signature from ${name}, certificate ${fingerprint}`);
}
