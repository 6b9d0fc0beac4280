/** One project needs nothing but Node; the other drives real daemons and programs, one test file at a time. */
const base = {
  collectCoverageFrom: ["<rootDir>/src/**/*.ts"],
  testEnvironment: "node",
  extensionsToTreatAsEsm: [".ts"],
  ...((process.env.TEST_SEED || process.env.TEST_SHARE) && { setupFiles: ["<rootDir>/test/fast-check-defaults.ts"] }),
  globalSetup: "<rootDir>/scripts/jest-setup.js",
  globalTeardown: "<rootDir>/scripts/jest-teardown.js",
  transform: { "^.+\\.ts$": "<rootDir>/scripts/jest-transform.js" },
};

export default {
  // No test is about time: a machine with other work to do may take long.
  testTimeout: 60_000,
  // Jest keeps a core for itself, which on a machine of two leaves one.
  maxWorkers: "100%",
  // With --coverage: V8 counts while the tests run; scripts/coverage.js reads the summary.
  coverageProvider: "v8",
  coverageReporters: ["json-summary"],
  projects: [
    {
      ...base,
      displayName: "unit",
      ...(Number(process.env.TEST_SHARE ?? 1) < 1 && { setupFilesAfterEnv: ["<rootDir>/test/sampled-tables.ts"] }),
      testMatch: ["<rootDir>/test/**/*.test.ts"],
      testPathIgnorePatterns: ["<rootDir>/test/interop/"],
    },
    { ...base, displayName: "interop", testMatch: ["<rootDir>/test/interop/**/*.test.ts"] },
  ],
};
