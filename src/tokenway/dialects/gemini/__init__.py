"""The Gemini dialect: generateContent, streamGenerateContent, and embeddings."""
