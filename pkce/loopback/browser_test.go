package loopback

const opening = "LOOPBACK_TEST_OPENS"

func opens() int { return 0 }
