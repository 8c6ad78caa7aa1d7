"""One module for each way of signing, all of one shape (`adapter.Adapter`), named in one registry."""
