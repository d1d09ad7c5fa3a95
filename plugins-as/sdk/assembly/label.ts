/** A named capture of the scope pattern, such as `pod` = "0f3c…". */
export class Label {
  constructor(
    readonly name: string,
    readonly value: string,
  ) {}
}
