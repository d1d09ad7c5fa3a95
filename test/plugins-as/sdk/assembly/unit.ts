// Functions of a policy that an author tests on their own: with the runtime exported, and nothing of the contract.
export { formatBytes, parseSize } from '../../../../plugins-as/sdk/assembly/size';
