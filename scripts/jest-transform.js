import { transformSync } from "esbuild";

/** TypeScript to the JavaScript of Node 20, for Jest: types are stripped, nothing is checked. */
export default {
  process(source, sourcefile) {
    const { code } = transformSync(source, {
      loader: "ts",
      format: "esm",
      target: "node20.19",
      sourcemap: "inline",
      sourcefile,
      keepNames: true,
    });
    return { code };
  },
};
