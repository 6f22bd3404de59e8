/** The few functions of the protobuf runtime that the rest uses, so that one package depends on it. */
export { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
