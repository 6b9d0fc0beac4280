import { defineConfig } from "eslint/config";
import js from "@eslint/js";
import jsdoc from "eslint-plugin-jsdoc";
import tseslint from "typescript-eslint";

export default defineConfig(
  { ignores: ["dist", "coverage", "docs/api", "fixtures"] },
  js.configs.recommended,
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/explicit-module-boundary-types": "error",
      "@typescript-eslint/no-import-type-side-effects": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      // Numbers in messages are what this code prints most: lengths, status words, handles.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // Bit masks and protocol constants read better written out than named twice.
      "@typescript-eslint/prefer-literal-enum-member": "off",
      eqeqeq: "error",
      "no-console": "error",
      "max-lines": ["error", { max: 400, skipBlankLines: true, skipComments: true }],
      "max-depth": ["error", 4],
      complexity: ["error", 20],
    },
  },
  {
    files: ["**/*.ts"],
    plugins: { jsdoc },
    settings: { jsdoc: { mode: "typescript" } },
    // What is wrong in a comment, not what it leaves out. TypeDoc checks the links (npm run docs).
    rules: {
      "jsdoc/check-param-names": ["error", { checkDestructured: false, disableMissingParamChecks: true }],
      "jsdoc/check-tag-names": "error",
      "jsdoc/empty-tags": "error",
      "jsdoc/require-param-description": "error",
      "jsdoc/require-returns-check": "error",
    },
  },
  {
    files: ["test/**/*.ts", "bench/**/*.ts", "examples/**/*.ts"],
    rules: { "no-console": "off", "max-lines": "off" },
  },
  {
    // A test waits for an event or for a condition (test/until.ts), or the code under test gets a clock. Each exception says why.
    files: ["test/**/*.ts"],
    ignores: [
      // They time what they measure or record; a card's hold ends by itself after four seconds, and must be gone before.
      "test/cryptoki/context-login.test.ts",
      "test/fixtures/record.ts",
      "test/sweep/main.ts",
      "test/cryptoki/sessions.test.ts",
      // They work beside real daemons and other programs, which say nothing when they are ready, and whose waits are under test.
      "test/interop/cli/command.test.ts",
      "test/interop/p11kit/{client,context-login}.test.ts",
      "test/interop/p11kit/softhsm.ts",
      "test/interop/pcsc/suite.ts",
      "test/interop/rig/*.ts",
      "test/interop/survival/contention.ts",
      "test/interop/virtual/plugged.ts",
    ],
    rules: {
      "no-restricted-syntax": [
        "error",
        { selector: "CallExpression[callee.name='setTimeout']", message: "Wait for an event, or with test/until.ts." },
        {
          selector:
            "ImportDeclaration[source.value='node:timers/promises'] > ImportSpecifier[imported.name='setTimeout']",
          message: "Wait for an event, or with test/until.ts.",
        },
        {
          selector:
            "CallExpression[callee.property.name=/^(setTimeout|setInterval)$/]:not([callee.object.name='jest'])",
          message: "Wait for an event, or with test/until.ts.",
        },
        {
          selector: "CallExpression[callee.object.name='scheduler'][callee.property.name='wait']",
          message: "Wait for an event, or with test/until.ts.",
        },
        {
          selector: "CallExpression[callee.object.name='Atomics'][callee.property.name='wait']",
          message: "Wait for an event, or with test/until.ts.",
        },
        {
          selector:
            ":matches(WhileStatement, DoWhileStatement, ForStatement) MemberExpression[object.name='Date'][property.name='now']",
          message: "A loop does not watch the clock: wait for an event, or with test/until.ts.",
        },
        {
          // `Date.now() - begun`; `Date.now() - DAY` is a date.
          selector:
            "BinaryExpression[operator='-'][right.name=/^[a-z]/] > CallExpression.left[callee.object.name='Date'][callee.property.name='now']",
          message: "A test does not depend on how fast the machine is.",
        },
        {
          selector: "MemberExpression[object.name='performance'][property.name='now']",
          message: "A test does not depend on how fast the machine is.",
        },
        {
          selector: "MemberExpression[object.name='process'][property.name='hrtime']",
          message: "A test does not depend on how fast the machine is.",
        },
      ],
    },
  },
  {
    files: ["**/*.js", "**/*.cjs"],
    languageOptions: {
      globals: {
        Buffer: "readonly",
        console: "readonly",
        module: "writable",
        performance: "readonly",
        process: "readonly",
        URL: "readonly",
      },
    },
  },
  {
    // Runs on Node, Bun and Deno.
    files: ["**/*.mjs"],
    languageOptions: { globals: { console: "readonly", crypto: "readonly", TextEncoder: "readonly" } },
  },
);
