/** Address of the WebAssembly: what bundlers that take such an import for a file make of it. */
declare const address: string;
export default address;
