"""The side endpoints of OpenAI's API: moderations, images, audio, rerank. They pass to providers that have them."""
