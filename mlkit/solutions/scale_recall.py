# %% scale_recall.quiz
answer("scale_recall", q1="c", q2="a")
