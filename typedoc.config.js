/** `npm run docs`: the reference of all entry points that package.json exports, in docs/api. A warning is an error. */
import { readFileSync } from "node:fs";

const { exports } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));

export default {
  entryPoints: Object.values(exports)
    .flatMap(({ types }) => types ?? [])
    .map((types) => types.replace(/^\.\/dist\/(.*)\.d\.ts$/u, "src/$1.ts")),
  out: "docs/api",
  readme: "none",
  excludePrivate: true,
  excludeInternal: true,
  // Links into a repository need its address, which a checkout may not have.
  disableSources: true,
  validation: { notExported: true, invalidLink: true, invalidPath: true, rewrittenLink: true },
  // Tables of values whose names are a type of their own: "keyof typeof".
  intentionallyNotExported: [
    "src/cryptoki/attributes/kinds.ts:VendorAttributes",
    "src/cryptoki/mechanisms/declarations.ts:Declared",
    "src/cryptoki/mechanisms/declarations.ts:MechanismOf",
    "src/cryptoki/mechanisms/declarations.ts:MessageParameters",
    "src/cryptoki/mechanisms/parameter-forms.ts:FieldsOf",
    "src/cryptoki/mechanisms/parameter-forms.ts:FormTypes",
    "src/cryptoki/structures.ts:NumberOf",
    "src/crypto/codec/hashes.ts:HASHES",
    "src/cryptoki/attributes/kinds.ts:KINDS",
    "src/cryptoki/constants/name.ts:FLAGS",
    "src/cryptoki/constants/name.ts:VALUES",
    "src/formats/pki.ts:HASHES",
    "src/formats/jws.ts:ALGORITHMS",
    "src/pcsc/error.ts:SCARD_ERRORS",
    "src/tokens/error.ts:LAYER_CODES",
    "src/virtual/certificates.ts:CERTIFICATE_DEVIATIONS",
    "src/virtual/keys.ts:KEY_TYPES",
  ],
  externalSymbolLinkMappings: { "@types/node": { "__global.NodeJS.TypedArray": "#" } },
  // tsc has looked for them.
  skipErrorChecking: true,
  // TypeDoc ends before it validates if conversion warned, so one flag would hide what the other finds.
  treatWarningsAsErrors: true,
  treatValidationWarningsAsErrors: true,
};
