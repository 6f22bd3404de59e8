/** Writes packages/proto/src/gen anew from the .proto files. Run it after changing one; a test compares. */
import { generateProto, writeCommitted } from './gen-proto/generate.ts';

const files = generateProto();
writeCommitted(files);
for (const path of files.keys()) console.log(path);
