"""What tests of several folders share: stand-ins, small models, files built by hand, a browser. No test is in here."""
