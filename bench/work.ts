import { createHash, type KeyObject, verify, X509Certificate } from "node:crypto";
import { KEYS, type KeyName } from "./cards.ts";
import type { Step } from "./counted-run.ts";

/** A piece of work that a driver does from start to end in a process of its own. */
export type Work =
  | { readonly name: "list" }
  | { readonly name: "objects" }
  | { readonly name: "read"; readonly key: KeyName }
  | { readonly name: "sign"; readonly key: KeyName; readonly times: number }
  | { readonly name: "generate"; readonly key: KeyName };

const DATA = Buffer.from("data to be signed");
const CKM_SHA256_RSA_PKCS = "0x40";
const CKM_ECDSA = "0x1041";

const isRsa = (key: KeyName): boolean => key === "9a" || key === "9d";

/** The work as walk.cpp and walk.ts take it on their command line. */
export function walkArguments(work: Work): readonly string[] {
  switch (work.name) {
    case "list":
    case "objects":
      return [work.name];
    case "read":
      return [work.name, KEYS[work.key]];
    case "generate":
      return [work.name, KEYS[work.key], "2048"];
    case "sign": {
      const mechanism = isRsa(work.key) ? CKM_SHA256_RSA_PKCS : CKM_ECDSA;
      const input = isRsa(work.key) ? DATA : createHash("sha256").update(DATA).digest();
      return [work.name, KEYS[work.key], mechanism, input.toString("hex"), String(work.times)];
    }
  }
}

/** Whether a step brought what the work is for: a count for a wrong answer counts nothing. */
export function isRight(work: Work, { detail, exchanges }: Step, publicKey: (key: KeyName) => KeyObject): boolean {
  switch (work.name) {
    case "list":
      return detail.trim() !== "";
    case "objects":
      return Object.values(KEYS).every((id) => new RegExp(`(^| )1:${id}:`, "u").test(detail));
    case "read":
      return new X509Certificate(Buffer.from(detail, "hex")).publicKey.equals(publicKey(work.key));
    case "generate":
      return exchanges.some(({ header, status }) => header === `004700${work.key}` && /^(9000|61)/u.test(status));
    case "sign": {
      const key = { key: publicKey(work.key), dsaEncoding: "ieee-p1363" } as const;
      return verify("sha256", DATA, key, Buffer.from(detail, "hex"));
    }
  }
}
