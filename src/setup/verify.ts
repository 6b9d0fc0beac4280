import { decodePem, equalBytes, fromHex, toHex } from "../bytes/index.ts";
import { parseCertificate } from "../asn1/index.ts";
import { verifyAttestation } from "../piv/index.ts";
import { readRequest } from "./card-certificates.ts";
import { type Transcript, type TranscriptEntry, TranscriptError } from "./transcript.ts";

/** What a transcript is checked against. */
export interface TranscriptTrust {
  /** The maker's certificates, DER. */
  readonly roots: readonly Uint8Array[];
  /** The digest that the setup printed, hexadecimal. */
  readonly digest?: string | undefined;
}

/** What a transcript proves. */
export interface VerifiedTranscript {
  readonly serial: string;
  readonly isComplete: boolean;
  readonly digest: string;
  readonly keys: readonly {
    readonly place: string;
    readonly type: string;
    /** Whether the card proved that it made the key, and to which root. */
    readonly attested: "to a root" | "by the card only" | "no";
    readonly certificate: "self-signed" | "request" | "none";
  }[];
}

/**
 * Checks that what a transcript says of the keys belongs together: attestations, certificates and requests are of the keys, of the one device,
 * and signed. That no entry was changed is checked when it is parsed.
 * @throws {TranscriptError} if not; {AttestationError}.
 */
export async function verifyTranscript(
  transcript: Transcript,
  { roots, digest }: TranscriptTrust,
): Promise<VerifiedTranscript> {
  if (digest !== undefined && digest.toLowerCase() !== transcript.digest) {
    throw new TranscriptError("the transcript is another one than the digest is of");
  }
  const { card } = (transcript.find("begin")?.data ?? {}) as { readonly card?: { readonly serial?: string } };
  if (card?.serial === undefined) throw new TranscriptError("the transcript does not begin with a card");
  const places = new Set(
    transcript.entries.filter(({ step }) => step === "key").map(({ data }) => String(data["about"])),
  );
  const keys: VerifiedTranscript["keys"][number][] = [];
  for (const place of places) keys.push(await verifyKey(transcript, place, card.serial, roots));
  return {
    serial: card.serial,
    isComplete: transcript.find("complete") !== undefined,
    digest: transcript.digest,
    keys,
  };
}

async function verifyKey(
  transcript: Transcript,
  place: string,
  serial: string,
  roots: readonly Uint8Array[],
): Promise<VerifiedTranscript["keys"][number]> {
  const { publicKey, type } = transcript.find("key", place)?.data ?? {};
  const spki = fromHex(String(publicKey));
  const attestation = transcript.find("attestation", place);
  const selfSigned = transcript.find("self-signed", place);
  const request = transcript.find("request", place);
  const isOwn =
    (!selfSigned ||
      equalBytes(parseCertificate(pemOf(selfSigned, "CERTIFICATE", "certificate")).subjectPublicKeyInfo, spki)) &&
    (!request || (await isRequestOf(pemOf(request, "CERTIFICATE REQUEST", "request"), spki)));
  if (!isOwn) throw new TranscriptError(`what the transcript has for ${place} is not of its key`);
  const root = attestation && (await verifyProof(attestation, spki, serial, roots));
  return {
    place,
    type: String(type),
    attested: attestation ? (root === undefined ? "by the card only" : "to a root") : "no",
    certificate: selfSigned ? "self-signed" : request ? "request" : "none",
  };
}

async function isRequestOf(der: Uint8Array, spki: Uint8Array): Promise<boolean> {
  const read = await readRequest(der);
  return read.isSigned && toHex(read.spki) === toHex(spki);
}

async function verifyProof(
  { data }: TranscriptEntry,
  spki: Uint8Array,
  serial: string,
  roots: readonly Uint8Array[],
): Promise<string | undefined> {
  const pems = Array.isArray(data["certificates"]) ? data["certificates"].map(String) : [];
  const [certificate = new Uint8Array(), ...chain] = pems.map(
    (pem) => decodePem("CERTIFICATE", pem) ?? new Uint8Array(),
  );
  const facts = await verifyAttestation({ certificate, chain }, spki, roots);
  if (facts.serial !== undefined && facts.serial !== serial)
    throw new TranscriptError("an attestation is of another device");
  return facts.root;
}

function pemOf({ data, step }: TranscriptEntry, label: string, name: string): Uint8Array {
  const der = decodePem(label, String(data[name]));
  if (!der) throw new TranscriptError(`the step ${step} has no ${name}`);
  return der;
}
