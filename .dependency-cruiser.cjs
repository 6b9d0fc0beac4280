/**
 * The direction of imports. A room may import the rooms named here and no other:
 *   cli, webcrypto -> tokens -> cryptoki; p11kit -> cryptoki -> card <- piv, pkcs15, cac -> apdu -> pcsc -> bytes, async
 * asn1 and crypto stand beside, above bytes. The virtual cards and the driver share nothing but bytes, async, apdu, asn1, crypto.
 */
const ROOMS = {
  bytes: [],
  async: [],
  // Events for observers, which every room below cli may publish.
  channels: [],
  asn1: ["bytes"],
  crypto: ["bytes", "async", "asn1"],
  pcsc: ["bytes", "async"],
  apdu: ["bytes", "async", "channels"],
  card: ["bytes", "async", "channels", "asn1", "crypto", "apdu", "pcsc"],
  // pcsc is loaded by PivSession.open(), where no other client is given.
  store: ["card"],
  piv: ["bytes", "async", "asn1", "crypto", "apdu", "card", "pcsc"],
  pkcs15: ["bytes", "async", "asn1", "crypto", "apdu", "card"],
  cac: ["bytes", "async", "asn1", "crypto", "apdu", "card"],
  setup: ["bytes", "async", "asn1", "crypto", "apdu", "card", "piv"],
  keyfiles: ["bytes", "asn1", "crypto"],
  certificates: ["bytes", "asn1", "crypto", "cryptoki", "webcrypto"],
  doctor: ["bytes", "async", "asn1", "crypto", "apdu", "card", "piv", "pkcs15"],
  cryptoki: ["bytes", "async", "channels", "asn1", "crypto", "pcsc", "card"],
  testing: ["bytes", "async", "apdu", "card", "pcsc", "cryptoki"],
  virtual: ["bytes", "async", "asn1", "crypto", "apdu"],
  sockets: ["bytes"],
  p11kit: ["bytes", "async", "crypto", "cryptoki", "sockets"],
  "ssh-agent": ["bytes", "async", "crypto", "tokens", "formats", "sockets"],
  age: ["bytes", "async", "crypto", "tokens"],
  webcrypto: ["bytes", "async", "asn1", "crypto", "cryptoki", "tokens"],
  formats: ["bytes", "async", "crypto", "tokens"],
  x509: ["async", "certificates", "tokens"],
  // webcrypto, p11kit, pcsc and store are loaded when they are used; card and pcsc lend types.
  tokens: ["bytes", "async", "asn1", "crypto", "cryptoki", "card", "webcrypto", "p11kit", "pcsc", "store"],
  audit: ["bytes", "async"],
  farm: ["bytes", "async", "crypto", "pcsc", "card", "cryptoki"],
  observe: ["channels"],
  service: [
    "audit",
    "channels",
    "observe",
    "bytes",
    "async",
    "apdu",
    "crypto",
    "cryptoki",
    "tokens",
    "certificates",
    "formats",
    "x509",
    "sockets",
  ],
};

/** Where Node's own modules may be imported. All else runs anywhere. Types of Node's are no import, and count here all the same. */
const NODE = [
  "pcsc/(addon|native|pcscd)",
  "crypto/host/node",
  "p11kit",
  "sockets",
  "ssh-agent",
  "age",
  "virtual",
  "keyfiles",
  "store",
  "audit",
  "channels",
  "observe",
  "service",
  "cli",
];

const rooms = Object.entries(ROOMS).map(([room, below]) => ({
  name: `${room}-imports-down`,
  severity: "error",
  from: { path: `^src/${room}/` },
  to: {
    path: "^src/",
    pathNot: [`^src/(${[room, ...below].join("|")})/`, ...(room === "tokens" ? ["^src/profiles\\.ts$"] : [])],
  },
}));

module.exports = {
  forbidden: [
    ...rooms,
    // tokens names webcrypto by type and loads it when it is used: that arrow upward makes no cycle when modules are loaded.
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true, viaOnly: { pathNot: "^src/webcrypto/" } } },
    {
      name: "no-cycles-in-webcrypto",
      severity: "error",
      from: { path: "^src/webcrypto/" },
      to: { circular: true, viaOnly: { path: "^src/webcrypto/" } },
    },
    {
      name: "through-the-front-door",
      comment:
        "Another room's files are reached through its index.ts. The front of pcsc without Node is its types and errors, that of tokens parts.ts.",
      severity: "error",
      from: { path: "^src/([^/]+)/" },
      to: {
        path: "^src/([^/]+)/.+",
        pathNot: "^src/($1/|[^/]+/(constants/)?index\\.ts$|pcsc/(types|error)\\.ts$|tokens/parts\\.ts$)",
      },
    },
    {
      name: "pcsc-without-node",
      comment: "What works in any runtime knows of pcsc its interfaces and errors only.",
      severity: "error",
      from: { path: "^src/(card|cryptoki)/" },
      to: { path: "^src/pcsc/", pathNot: "^src/pcsc/(types|error)\\.ts$" },
    },
    {
      name: "codec-without-host",
      severity: "error",
      from: { path: "^src/crypto/codec/" },
      to: { path: "^src/crypto/", pathNot: "^src/crypto/codec/" },
    },
    {
      name: "node-modules-of-the-machine",
      severity: "error",
      from: { path: "^src/", pathNot: `^src/(${NODE.join("|")})/` },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "declared-dependencies",
      severity: "error",
      comment: "The command's bundle has its packages inside.",
      from: { path: "^src/", pathNot: "^src/cli/" },
      to: {
        dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"],
        dependencyTypesNot: ["npm-peer"],
        // The first lends types only; the second is in the command's bundle, as the service is part of the command.
        pathNot: "node_modules/(@fastify/type-provider-typebox|typebox|pcsclite)/",
      },
    },
    {
      name: "bundled-dependencies",
      severity: "error",
      from: { path: "^src/cli/" },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"], dependencyTypesNot: ["npm-peer"] },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      extensions: [".ts", ".js"],
      exportsFields: ["exports"],
      conditionNames: ["import", "types"],
    },
  },
};
