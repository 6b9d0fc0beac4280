import { concat } from "../../bytes/index.ts";
import type { KeyPrimitive } from "../../card/index.ts";
import { type Dialect, mechanisms } from "../dialect.ts";
import { computeSignature, decipher, internalAuthenticate, setEnvironment, TEMPLATE } from "../files/commands.ts";
import {
  algorithm,
  ecdsaAnswer,
  file,
  indicated,
  keyReference,
  type KeyRequest,
  type KeyUse,
  leftPadded,
  message,
  sharedX,
  wholeBlock,
} from "../keys/key-use.ts";
import { type AlgorithmInfo, OPERATION } from "../syntax/token-info.ts";

const TEMPLATE_OF = {
  sign: TEMPLATE.SIGNATURE,
  decipher: TEMPLATE.CONFIDENTIALITY,
  derive: TEMPLATE.CONFIDENTIALITY,
} as const;

/** The commands of ISO/IEC 7816-8, with an environment of these fields in this order. */
export function standardUse(request: KeyRequest, ...fields: readonly Uint8Array[]): KeyUse {
  const data = concat(...fields);
  if (request.operation === "sign" && request.key.authenticates) {
    return {
      environment: setEnvironment(TEMPLATE.AUTHENTICATION, data),
      commands: [internalAuthenticate(request.input)],
      read: request.key.type === "ec" ? ecdsaAnswer(request) : wholeBlock(request),
    };
  }
  const environment = setEnvironment(TEMPLATE_OF[request.operation], data);
  switch (request.operation) {
    case "sign":
      return request.key.type === "ec"
        ? {
            environment,
            commands: [computeSignature(leftPadded(request.input, request.key.bytes))],
            read: ecdsaAnswer(request),
          }
        : { environment, commands: [computeSignature(request.input)], read: wholeBlock(request) };
    case "decipher":
      return {
        environment,
        commands: [decipher(indicated(0x00, request.input))],
        read: request.primitive === "rsa-raw" ? wholeBlock(request) : message(request),
      };
    case "derive":
      return { environment, commands: [decipher(indicated(0x00, request.input))], read: sharedX(request) };
  }
}

/** PKCS #11 mechanisms in AlgorithmInfo, and the corresponding operations of the card. */
const MECHANISM: Readonly<Record<string, { readonly mechanism: number; readonly operation: number }>> = {
  "rsa-pkcs1 sign": { mechanism: 0x0001, operation: OPERATION.COMPUTE_SIGNATURE },
  "rsa-pkcs1 decipher": { mechanism: 0x0001, operation: OPERATION.DECIPHER },
  "rsa-raw sign": { mechanism: 0x0003, operation: OPERATION.COMPUTE_SIGNATURE },
  "rsa-raw decipher": { mechanism: 0x0003, operation: OPERATION.DECIPHER },
  "ecdsa sign": { mechanism: 0x1041, operation: OPERATION.COMPUTE_SIGNATURE },
  "ecdh derive": { mechanism: 0x1050, operation: OPERATION.DERIVE_KEY },
};

const PRIMITIVES: Readonly<Record<"rsa" | "ec", readonly KeyPrimitive[]>> = {
  rsa: ["rsa-raw", "rsa-pkcs1"],
  ec: ["ecdsa", "ecdh"],
};

function named(algorithms: readonly AlgorithmInfo[], name: string): AlgorithmInfo | undefined {
  const wanted = MECHANISM[name];
  return algorithms.find(
    ({ mechanism, operations }) => mechanism === wanted?.mechanism && operations.has(wanted.operation),
  );
}

/** The assumed properties of an unknown card. */
export const GENERIC: Dialect = {
  name: "ISO/IEC 7816-8",
  source: "ISO/IEC 7816-4 sections 10.3.1 and 11.5.11, ISO/IEC 7816-8 section 5.4, ISO/IEC 7816-15 section 8.10",
  recognises: () => true,
  algorithmsFromTokenInfo: true,
  primitives(type, algorithms) {
    const told = PRIMITIVES[type].filter((primitive) =>
      Object.keys(MECHANISM).some((name) => name.startsWith(`${primitive} `) && named(algorithms, name)),
    );
    if (told.length > 0) return told;
    // A card that lists no algorithms behaves as the standard describes: DigestInfo in, padding by the card.
    return type === "rsa" ? ["rsa-pkcs1"] : ["ecdsa", "ecdh"];
  },
  mechanisms: mechanisms({
    "rsa-raw": [1024, 4096],
    "rsa-pkcs1": [1024, 4096],
    ecdsa: [256, 521],
    ecdh: [256, 521],
  }),
  use(request) {
    const info = named(request.key.algorithms, `${request.primitive} ${request.operation}`);
    return standardUse(request, algorithm(info?.algorithmReference), file(request.key), keyReference(request.key));
  },
};
