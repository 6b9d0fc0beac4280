/** One project needs nothing but Node; the other drives real daemons and programs, one test file at a time. */
const base = {
  testEnvironment: "node",
  extensionsToTreatAsEsm: [".ts"],
  transform: {
    "^.+\\.ts$": [
      "@swc/jest",
      { jsc: { parser: { syntax: "typescript" }, target: "es2022" }, module: { type: "es6" }, sourceMaps: "inline" },
    ],
  },
};

export default {
  projects: [
    {
      ...base,
      displayName: "unit",
      testMatch: ["<rootDir>/test/**/*.test.ts"],
      testPathIgnorePatterns: ["<rootDir>/test/interop/"],
    },
    { ...base, displayName: "interop", testMatch: ["<rootDir>/test/interop/**/*.test.ts"] },
  ],
};
