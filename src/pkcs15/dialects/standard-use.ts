import { concat } from "../../bytes/index.ts";
import { computeSignature, decipher, internalAuthenticate, setEnvironment, TEMPLATE } from "../files/commands.ts";
import {
  ecdsaAnswer,
  indicated,
  type KeyRequest,
  type KeyUse,
  leftPadded,
  message,
  sharedX,
  wholeBlock,
} from "../keys/key-use.ts";

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
