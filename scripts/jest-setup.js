import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const CACHE = path.join(ROOT, "node_modules", ".cache");

/**
 * Before all suites: the folder that they share. It has keys and cards (test/virtual/made-once.ts), and the command as the package
 * has it (test/cli/built.ts), which starts in a tenth of the time. It is in this tree so that the command finds its packages.
 */
export default function setUp() {
  mkdirSync(CACHE, { recursive: true });
  const folder = mkdtempSync(path.join(CACHE, "cryptoki-tests-"));
  process.env["TEST_SHARED"] = folder;
  process.env["XDG_CACHE_HOME"] = path.join(folder, "cache");
  copyFileSync(path.join(ROOT, "package.json"), path.join(folder, "package.json"));
  execFileSync(process.execPath, [path.join(ROOT, "scripts", "build.js"), path.join(folder, "dist")]);
}
