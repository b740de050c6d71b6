"""The Bedrock dialect: Converse and ConverseStream of Amazon Bedrock."""
