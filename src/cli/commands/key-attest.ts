import { X509Certificate } from "node:crypto";
import type { Command } from "commander";
import { encodePem, equalBytes, toHex } from "../../bytes/index.ts";
import type { KeyAttestation } from "../../card/index.ts";
import { action } from "../context.ts";
import { administeredToken, requireMethod, requirePrivateKey } from "../input/card-administration.ts";
import { readCertificates } from "../input/certificate-writing.ts";
import { LIMIT, readWhole, writeWhole } from "../input/files.ts";
import { type KeyPlaceOptions, keyPlaceOptions, placeName, referenceOf, requiredPlace } from "../input/key-place.ts";
import { examples } from "../input/options.ts";
import { VerificationFailedError } from "../output/failures.ts";
import type { Environment } from "../output/printer.ts";

interface AttestOptions extends KeyPlaceOptions {
  readonly ca?: string;
  readonly output?: string;
}

export function addKeyAttest(key: Command, environment: Environment): void {
  const command = keyPlaceOptions(
    key
      .command("attest")
      .summary("prove that a key was made on a YubiKey")
      .description(
        "Have a YubiKey certify that it made a key itself, and print that certificate and the one of the key that signed it (F9). Both " +
          "are checked; with --ca also that the device is of the maker whose certificate that is.",
      )
      .argument("[uri]", "a PKCS #11 URI of the token"),
    "the key",
  )
    .option("--ca <file>", "certificates of the maker, PEM or DER: the chain must end at one of them")
    .option("--output <file>", "write the certificates there")
    .addHelpText(
      "after",
      examples([
        "cryptoki key attest --reference 9a --ca piv-attestation-ca.pem",
        "check it with Yubico's certificate",
      ]),
    );
  action<AttestOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const { print, signal } = context;
    const authorities =
      options.ca === undefined ? [] : readCertificates(options.ca, await readWhole(options.ca, signal, LIMIT.KEY));
    const { token, run } = await administeredToken(context, uri);
    const id = requiredPlace(token, options);
    const { attestation, spki } = await run(async (cardToken) => {
      const attest = requireMethod(cardToken, "attestKey", "attest keys");
      const key = await requirePrivateKey(token, cardToken, id);
      return { attestation: await attest(key, { signal }), spki: await key.publicKey() };
    });
    check(placeName(token, id), attestation, spki, authorities);
    const text = [attestation.certificate, ...attestation.chain].map((der) => encodePem("CERTIFICATE", der)).join("");
    const toFile = options.output !== undefined && options.output !== "-";
    if (toFile) await writeWhole(options.output, text, { signal });
    if (print.json) {
      print.document({
        id: toHex(id),
        reference: referenceOf(token, id),
        attested: true,
        authority: authorities.length > 0 ? "checked" : "not checked",
        certificates: text,
      });
      return;
    }
    if (!toFile) print.line(text.trimEnd());
    const end =
      authorities.length > 0 ? "the chain ends at a certificate of --ca" : "whose device it is was not checked: --ca";
    context.remark.done(`The key in ${placeName(token, id)} was made on the card; ${end}.`, {});
  });
}

/**
 * Checks that the attestation is of the key whose SubjectPublicKeyInfo the card shows, that each certificate signed the one before, and that
 * the last is of `authorities`, if there are any.
 * @throws {VerificationFailedError} if not.
 */
function check(
  name: string,
  { certificate, chain }: KeyAttestation,
  spki: Uint8Array,
  authorities: readonly Uint8Array[],
): void {
  const [leaf, ...signers] = [certificate, ...chain].map((der) => new X509Certificate(der));
  if (!leaf || !equalBytes(new Uint8Array(leaf.publicKey.export({ format: "der", type: "spki" })), spki)) {
    throw new VerificationFailedError(`the attestation is of another key than the one in ${name}`);
  }
  let last = leaf;
  for (const signer of signers) {
    if (!isSignedBy(last, signer))
      throw new VerificationFailedError("the attestation was not signed by the card's attestation key");
    last = signer;
  }
  if (authorities.length === 0) return;
  const isTrusted = authorities.some((der) => last.raw.equals(der) || isSignedBy(last, new X509Certificate(der)));
  if (!isTrusted) throw new VerificationFailedError("no certificate of --ca signed the card's attestation certificate");
}

const isSignedBy = (certificate: X509Certificate, signer: X509Certificate): boolean =>
  certificate.checkIssued(signer) && certificate.verify(signer.publicKey);
